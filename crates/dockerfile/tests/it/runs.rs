//! What `RUN`, `COPY` and `ADD` come to.

use cartwheel_dockerfile::{
    Copy, CopyFrom, CopySource, Device, EvaluatedStage, FileAccess, InlineFile, Mount, MountKind, Network,
    Run, Sharing, StepKind,
};

use crate::evaluate;

fn last(stage: EvaluatedStage) -> StepKind {
    stage.steps.into_iter().next_back().unwrap().kind
}

fn run(text: &str) -> Run {
    match last(evaluate(text)) {
        StepKind::Run(run) => *run,
        kind => panic!("no command: {kind:?}"),
    }
}

fn copy(text: &str) -> Copy {
    match last(evaluate(text)) {
        StepKind::Copy(copy) => *copy,
        kind => panic!("no copy: {kind:?}"),
    }
}

#[test]
fn shell_and_exec_form() {
    let shell = run("FROM x\nRUN a  $B && \\\n  # no\n  c");
    assert_eq!(shell.argv, ["/bin/sh", "-c", "a  $B &&   c"]);
    assert_eq!(shell.script.as_deref(), Some("a  $B &&   c"));
    assert_eq!(shell.working_dir, "/");
    let exec = run("FROM x\nUSER u\nWORKDIR /w\nRUN [\"a\", \"$B\"]");
    assert_eq!((exec.argv, exec.script, exec.shell), (vec!["a".into(), "$B".into()], None, vec![]));
    assert_eq!((exec.user.as_str(), exec.working_dir.as_str()), ("u", "/w"));
    assert_eq!(run("FROM x\nRUN ['a']").argv[2], "['a']", "what is no JSON is for the shell");
}

#[test]
fn a_heredoc_alone_is_the_script() {
    let stage = evaluate("FROM x\nRUN <<-E\n\ta\n\t\tb $C\n\tE");
    assert_eq!(stage.steps[0].text, "RUN <<-E (a...)");
    assert_eq!(stage.steps[0].created_by.as_deref(), Some("RUN /bin/sh -c a\nb $C\n # buildkit"));
    let StepKind::Run(run) = &stage.steps[0].kind else { panic!("no command") };
    assert_eq!(run.script.as_deref(), Some("a\nb $C\n"));
}

#[test]
fn a_heredoc_with_a_shebang_is_a_file() {
    let run = run("FROM x\nRUN <<E\n#!/usr/bin/env python3\nprint()\nE");
    assert_eq!(run.argv, ["/bin/sh", "-c", "/dev/pipes/E"]);
    let content = "#!/usr/bin/env python3\nprint()\n".to_owned();
    assert_eq!(run.file, Some(InlineFile { name: "/dev/pipes/E".to_owned(), content }));
}

#[test]
fn other_heredocs_go_back_behind_the_line() {
    let run = run("FROM x\nRUN cat <<A - <<-B >c\na\nA\n\tb\n\tB\n");
    assert_eq!(run.script.as_deref(), Some("cat <<A - <<-B >c\na\nA\n\tb\nB"));
    assert_eq!(run.file, None);
}

#[test]
fn steps_are_shown_with_their_variables() {
    let text = |text: &str| evaluate(text).steps.pop().unwrap().text;
    assert_eq!(text("FROM x\nENV A=1\nrun echo \"$A\" '$A' $B"), "RUN echo \"1\" '$A' $B");
    assert_eq!(text("FROM x\nENV A=1\ncopy  $A \"b\" d"), "COPY  1 b d");
    assert_eq!(
        text("FROM x\nENV S=1\nRUN --mount=type=secret,id=s,env=S a $S"),
        "RUN --mount=type=secret,id=s,env=S a ****"
    );
    assert_eq!(text("FROM x\nenv A=$B"), "ENV A=$B");
}

#[test]
fn flags_of_run() {
    let run = run(
        "FROM x\nRUN --network=none --security=insecure --device=vendor.org/gpu=0,required --device=name=b c",
    );
    assert_eq!((run.network, run.insecure), (Network::None, true));
    let device = |name: &str, required| Device { name: name.to_owned(), required };
    assert_eq!(run.devices, [device("vendor.org/gpu=0", true), device("b", false)]);
}

#[test]
fn mounts_are_worked_out() {
    let run = run(
        "FROM x AS one\nFROM x\nARG D=d\nWORKDIR /w\nRUN --mount=target=$D,source=s --mount=from=one,dst=/e,rw \
        --mount=type=cache,target=/c/../f,sharing=locked,uid=1 --mount=type=cache,target=g,id=i,from=y:1,source=h \
        --mount=type=tmpfs,target=/t,size=1m --mount=type=secret,id=k,required --mount=type=secret,source=k,env=K \
        --mount=type=ssh a",
    );
    let access = FileAccess::default();
    let mount = |target: &str, read_only, kind| Mount { target: target.to_owned(), kind, read_only };
    let bind = |from, source: &str| MountKind::Bind { from, source: source.to_owned() };
    let cache = |from, source: &str, id: &str, sharing, access| MountKind::Cache {
        from,
        source: source.to_owned(),
        id: id.to_owned(),
        sharing,
        access,
    };
    let secret = |env: Option<&str>, required| MountKind::Secret {
        id: "k".to_owned(),
        env: env.map(str::to_owned),
        required,
        access,
    };
    let owned = FileAccess { uid: Some(1), ..access };
    let image = CopyFrom::Image("docker.io/library/y:1".to_owned());
    assert_eq!(
        run.mounts,
        [
            mount("/w/d", true, bind(CopyFrom::Context, "/s")),
            mount("/e", false, bind(CopyFrom::Stage(0), "/")),
            mount("/c/../f", false, cache(CopyFrom::Scratch, "/", "/f", Sharing::Locked, owned)),
            mount("/w/g", false, cache(image, "/h", "i", Sharing::Shared, access)),
            mount("/t", false, MountKind::Tmpfs { size: Some(1 << 20) }),
            mount("/run/secrets/k", true, secret(None, true)),
            mount("", true, secret(Some("K"), false)),
            mount("", true, MountKind::Ssh { id: "default".to_owned(), required: false, access }),
        ]
    );
    let socket = run.env.iter().find(|(name, _)| name == "SSH_AUTH_SOCK").unwrap();
    assert_eq!(socket.1, "/run/buildkit/ssh_agent.0");
}

#[test]
fn copies_are_worked_out() {
    let copy = copy(
        "FROM x AS one\nFROM x\nARG D=d\nWORKDIR /w\n\
        COPY --from=ONE --link --parents --exclude=*.a --exclude=$D --chown=$D:e --chmod=0644 $D \"f\" ./$D/",
    );
    let expected = Copy {
        sources: vec![CopySource::Path("d".to_owned()), CopySource::Path("f".to_owned())],
        destination: "/w/d/".to_owned(),
        from: CopyFrom::Stage(0),
        chown: Some("d:e".to_owned()),
        chmod: Some("0644".to_owned()),
        link: true,
        parents: true,
        exclude: vec!["*.a".to_owned(), "$D".to_owned()],
        ..Copy::default()
    };
    assert_eq!(copy, expected);
}

#[test]
fn sources_of_add() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let add = copy(&format!("FROM x\nADD --unpack=false --checksum={digest} https://example.org/a /"));
    assert_eq!(add.sources, [CopySource::Url("https://example.org/a".to_owned())]);
    assert_eq!((add.unpack, add.checksum, add.is_add), (Some(false), Some(digest), true));
    let add = copy("FROM x\nADD --keep-git-dir https://example.org/a.git#v1 b /");
    assert_eq!(add.sources[0], CopySource::Git("https://example.org/a.git#v1".to_owned()));
    assert_eq!((add.keep_git_dir, add.unpack), (Some(true), None));
}

#[test]
fn heredocs_are_files() {
    let copy = copy("FROM x\nENV A=1\nCOPY <<E <<-'F' b /c/\n\"$A\" \\$A '${B:-2}'\nE\n\t$A\nF");
    let file = |name: &str, content: &str| {
        CopySource::Heredoc(InlineFile { name: name.to_owned(), content: content.to_owned() })
    };
    let expected = [CopySource::Path("b".to_owned()), file("E", "\"1\" $A '2'\n"), file("F", "$A\n")];
    assert_eq!(copy.sources, expected, "paths come first");
}
