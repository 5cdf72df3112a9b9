//! Every kind of mistake: its code, its message, its place, its advice.

use cartwheel_dockerfile::{
    Diagnostic, Dockerfile, EvaluateOptions, Position, StageConfig, evaluate_stage, needed_stages,
};

/// All that is wrong with a Dockerfile, as far as a build of `target` gets.
fn findings(text: &str, target: Option<&str>) -> Vec<Diagnostic> {
    let (dockerfile, diagnostics) = Dockerfile::parse(text);
    if !diagnostics.is_empty() {
        return diagnostics;
    }
    let options = EvaluateOptions { target: target.map(str::to_owned), ..EvaluateOptions::default() };
    let stages = match needed_stages(&dockerfile, &options) {
        Ok(stages) => stages,
        Err(diagnostics) => return diagnostics,
    };
    let evaluated =
        stages.iter().map(|stage| evaluate_stage(&dockerfile, stage.index, StageConfig::default(), &options));
    evaluated.filter_map(Result::err).flatten().collect()
}

/// One line for each finding: `CW-D001 1:1 message = hint`.
fn lines(text: &str, target: Option<&str>) -> Vec<String> {
    let line = |finding: Diagnostic| {
        let Position { line, column } = Position::of(text, finding.span.start);
        let hint = finding.help.map(|help| format!(" = {help}")).unwrap_or_default();
        format!("{} {line}:{column} {}{hint}", finding.code, finding.message)
    };
    findings(text, target).into_iter().map(line).collect()
}

#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(lines(text, None), [*expected], "{text}");
    }
}

#[test]
fn of_syntax() {
    check(&[
        ("", "CW-D001 1:1 there is no instruction in the file = a Dockerfile begins with `FROM image`"),
        (
            "# just this\n",
            "CW-D001 1:1 there is no instruction in the file = a Dockerfile begins with `FROM image`",
        ),
        (
            "# escape=x\nFROM a",
            "CW-D002 1:1 `x` cannot be the escape character = only `\\` and a backtick can",
        ),
        (
            "# escape=`\n# escape=`\nFROM a",
            "CW-D002 2:1 directive `escape` is given twice = remove one of them, or put an empty line in front of what is a comment",
        ),
        (
            "# check=fast\nFROM a",
            "CW-D002 1:9 `fast` is no check option = it is written as `skip=all`, `skip=RuleA,RuleB`, `error=true`, joined by `;`",
        ),
        (
            "FROM a\nRUN <<E\nb\n",
            "CW-D004 2:1 the heredoc `E` does not end = end it with a line that is `E` and nothing else",
        ),
        ("FROM a\nCOPY b <<E\nE\n", "CW-D004 2:8 `COPY` cannot copy to a heredoc = put the destination last"),
        ("FROM a\nENV  b", "CW-D005 2:6 `ENV b` has no value = write `ENV b=value`"),
        ("FROM a\nlabel b", "CW-D005 2:7 `LABEL b` has no value = write `LABEL b=value`"),
        (
            "FROM a\nENV b=c \\\n  d",
            "CW-D005 3:3 `d` is not of the form `name=value` = quote a value that has spaces: `name=\"a value\"`",
        ),
        ("FROM a\nENV =b", "CW-D005 2:5 `ENV` has a name that is empty"),
        ("FROM a\nARG =b", "CW-D005 2:5 `ARG` has a name that is empty"),
        (
            "FROM a\nCMD [\"b\", 1]",
            "CW-D006 2:5 a JSON array of arguments may hold strings only = put each argument in double quotes",
        ),
        (
            "FROM a\nSHELL bash",
            "CW-D006 2:1 `SHELL` needs a JSON array = write `SHELL [\"/bin/bash\", \"-c\"]`",
        ),
    ]);
}

#[test]
fn of_instructions() {
    check(&[
        ("FROM a\nRUM b", "CW-D010 2:1 unknown instruction `RUM` = did you mean `RUN`?"),
        ("FROM a\n&& b", "CW-D010 2:1 unknown instruction `&&`"),
        ("FROM a\nRUN --mont=b c", "CW-D011 2:5 unknown flag `--mont` = did you mean `--mount`?"),
        ("FROM a\nUSER --c b", "CW-D011 2:6 unknown flag `--c`"),
        ("FROM a\nCOPY --chown b c", "CW-D012 2:6 flag `--chown` has no value = write `--chown=…`"),
        ("FROM a\nCOPY --link= b c", "CW-D012 2:6 flag `--link` has no value = write `--link=true`"),
        ("FROM a\nCOPY --link=maybe b c", "CW-D012 2:6 flag `--link` is `true` or `false`, not `maybe`"),
        ("FROM a\nCOPY --chown=1 --chown=2 b c", "CW-D012 2:16 flag `--chown` is given twice"),
        (
            "FROM a\nRUN --network=x b",
            "CW-D012 2:5 there is no network `x` = it is one of `default`, `none`, `host`",
        ),
        (
            "FROM a\nRUN --security=x b",
            "CW-D012 2:5 there is no security mode `x` = it is one of `sandbox`, `insecure`",
        ),
        (
            "FROM a\nRUN --device=b,requird=1 c",
            "CW-D012 2:5 a device has no field `requird=1` = did you mean `required`?",
        ),
        (
            "FROM a\nCOPY b",
            "CW-D013 2:1 `COPY` needs a source and a destination = write `COPY source destination`",
        ),
        (
            "FROM a\nADD [\"b\"]",
            "CW-D013 2:1 `ADD` needs a source and a destination = write `ADD source destination`",
        ),
        (
            "FROM a b",
            "CW-D013 1:1 `FROM` needs one argument, or three = write `FROM image` or `FROM image AS name`",
        ),
        ("FROM a\nWORKDIR", "CW-D013 2:1 `WORKDIR` needs exactly one argument"),
        ("FROM a\nENV", "CW-D013 2:1 `ENV` needs at least one argument"),
        ("FROM a\nONBUILD", "CW-D013 2:1 `ONBUILD` needs an instruction"),
        (
            "FROM a AS 1b",
            "CW-D014 1:11 a stage cannot have the name `1b` = a name begins with a letter and has letters, digits, `-`, `_` and `.`",
        ),
        ("FROM a\nONBUILD FROM b", "CW-D015 2:9 `ONBUILD` cannot trigger `FROM`"),
        ("FROM a\nONBUILD onbuild RUN b", "CW-D015 2:9 `ONBUILD` cannot trigger `ONBUILD`"),
        ("FROM a\nHEALTHCHECK NONE b", "CW-D017 2:13 `HEALTHCHECK NONE` takes no arguments"),
        ("FROM a\nHEALTHCHECK CMD", "CW-D017 2:13 `HEALTHCHECK CMD` has no command"),
        ("FROM a\nHEALTHCHECK curl", "CW-D017 2:13 `HEALTHCHECK CURL` is unknown = it is `CMD` or `NONE`"),
        (
            "FROM a\nHEALTHCHECK --interval=3 CMD b",
            "CW-D017 2:13 `--interval` cannot be `3` = it is written as `30s` or `1m30s`",
        ),
        (
            "FROM a\nHEALTHCHECK --timeout=1us CMD b",
            "CW-D017 2:13 `--timeout` cannot be `1us`: it is less than `1ms`",
        ),
        (
            "FROM a\nHEALTHCHECK --retries=-1 CMD b",
            "CW-D017 2:13 `--retries` cannot be `-1` = it is a number from 0 on",
        ),
        ("FROM a\nVOLUME [\" \"]", "CW-D031 2:9 the path of a volume cannot be empty"),
    ]);
}

#[test]
fn of_mounts() {
    check(&[
        (
            "FROM a\nRUN --mount=type=tmp,target=/b c",
            "CW-D016 2:5 `type` of the mount cannot be `tmp` = did you mean `tmpfs`?",
        ),
        (
            "FROM a\nRUN --mount=typ=bind c",
            "CW-D016 2:5 a mount has no field `typ=bind` = did you mean `type`?",
        ),
        ("FROM a\nRUN --mount=target c", "CW-D016 2:5 field `target` of the mount has no value"),
        ("FROM a\nRUN --mount=, c", "CW-D016 2:5 field `` of the mount has no value"),
        (
            "FROM a\nRUN --mount=from=$b,target=/c d",
            "CW-D016 2:5 `from` of a mount takes no variables = give the image a stage of its own (`FROM image AS name`) and mount from that",
        ),
        (
            "FROM a\nRUN --mount=size=1,type=tmpfs,target=/b c",
            "CW-D016 2:5 a mount of type `bind` has no `size` = say `type=` first",
        ),
        (
            "FROM a\nRUN --mount=target=/ b",
            "CW-D016 2:5 nothing can be mounted at `/` = say where by `target=/path`",
        ),
        ("FROM a\nRUN --mount=target=/b,ro=maybe c", "CW-D016 2:5 `ro` of the mount cannot be `maybe`"),
        (
            "FROM a\nRUN --mount=target=/b,uid=1 c",
            "CW-D016 2:5 a mount of type `bind` has no `mode`, `uid` or `gid`",
        ),
        (
            "FROM a\nRUN --mount=target=/b,sharing=locked c",
            "CW-D016 2:5 a mount of type `bind` has no `sharing`",
        ),
        ("FROM a\nRUN --mount=type=secret b", "CW-D016 2:5 a secret needs `id`, `source` or `target`"),
        (
            "FROM a\nRUN --mount=type=secret,id=b,source=c d",
            "CW-D016 2:5 a secret has either `id` or `source`",
        ),
        (
            "FROM a\nRUN --mount=type=secret,id=b,from=c d",
            "CW-D016 2:5 a secret is not from anywhere: `from` has no meaning",
        ),
        (
            "FROM a\nRUN --mount=type=ssh,source=/b c",
            "CW-D016 2:5 a mount of type `ssh` has no `source` = name the agent by `id`",
        ),
    ]);
}

#[test]
fn of_stages() {
    let no_stage = "a stage begins with `FROM image`; only `ARG` may stand before it";
    let table: [(&str, &str); 13] = [
        ("ARG a", &format!("CW-D020 1:1 there is no stage to build = {no_stage}")),
        ("ARG a\nRUN b\nFROM c", &format!("CW-D020 2:1 `RUN` stands before the first `FROM` = {no_stage}")),
        (
            "FROM $A",
            "CW-D022 1:6 `FROM $A` names no image: it expands to nothing = declare the `ARG` before the first `FROM`, with a default, or give it by `--build-arg`",
        ),
        (
            "FROM Alpine",
            "CW-D022 1:6 `Alpine` is no reference of an image: `library/Alpine` has to be in lowercase",
        ),
        (
            "FROM a AS base\nFROM Base",
            "CW-D022 2:6 `Base` is no reference of an image: `library/Base` has to be in lowercase = did you mean `base`?",
        ),
        (
            "FROM a:b:c",
            "CW-D022 1:6 `a:b:c` is no reference of an image: it is not of the form `registry/name:tag@digest`",
        ),
        (
            "FROM --platform=$BULIDPLATFORM a",
            "CW-D023 1:6 the platform `$BULIDPLATFORM` expands to nothing = did you mean `BUILDPLATFORM`?",
        ),
        (
            "FROM --platform=amiga a",
            "CW-D023 1:6 `amiga` is no platform: `amiga` is no known operating system or processor",
        ),
        (
            "FROM a\nCOPY --from=1 b c",
            "CW-D024 2:6 there is no stage `1` = no stage has a name; `FROM image AS name` gives it one",
        ),
        ("FROM a AS one\nCOPY --from=-1 b c", "CW-D024 2:6 there is no stage `-1` = there are `one`"),
        (
            "FROM a\nCOPY --from=$b c d",
            "CW-D024 2:6 `--from=$b` takes no variables = give the image a stage of its own (`FROM $IMAGE AS name`) and copy from that",
        ),
        (
            "FROM a AS one\nCOPY --from=two b c\nFROM a AS two\nCOPY --from=one b c",
            "CW-D025 4:6 stages need one another in a circle: `one` → `two` → `one` = a stage can copy only from those above it",
        ),
        (
            "FROM a AS self\nCOPY --from=self b c",
            "CW-D025 2:6 stages need one another in a circle: `self` → `self` = a stage can copy only from those above it",
        ),
    ];
    check(&table);
}

#[test]
fn of_targets() {
    let text = "FROM a AS one\nCOPY --from=two b c\nRUN --mount=from=two,target=/d e\nFROM a AS two";
    let later = "`one` cannot copy from `two`, which comes later = move `two` above `one`";
    assert_eq!(lines(text, Some("one")), [format!("CW-D025 2:6 {later}"), format!("CW-D025 3:5 {later}")]);
    assert_eq!(lines(text, None), Vec::<String>::new(), "what is not needed is not asked");
    assert_eq!(lines(text, Some("tow")), ["CW-D024 1:1 there is no stage `tow` = did you mean `two`?"]);
}

#[test]
fn of_words() {
    check(&[
        ("FROM ${a", "CW-D021 1:6 cannot expand `${a`: there is no matching `}`"),
        ("ARG a=${b:?c}\nFROM d", "CW-D021 1:5 cannot expand `${b:?c}`: `b`: c"),
        ("FROM a\nENV b=c d='e", "CW-D021 2:11 cannot expand `'e`: there is no matching single quote"),
        ("FROM a\nWORKDIR ${b/c}", "CW-D021 2:9 cannot expand `${b/c}`: there is no matching `/`"),
        (
            "FROM a\nCOPY <<E /b\n${c!}\nE",
            "CW-D021 2:1 cannot expand `${c!}\n`: `!` is no modifier of a variable = quote the delimiter (`<<\"EOF\"`) if there are no variables in it",
        ),
    ]);
}

#[test]
fn of_values() {
    check(&[
        (
            "FROM a\nCOPY --chmod=64a b c",
            "CW-D030 2:6 `--chmod` cannot be `64a` = it is octal up to `07777`, or symbolic as in `u=rwx,go=rx`",
        ),
        ("FROM a\nCOPY http://example.org/b c", "CW-D030 2:6 `COPY` cannot copy from an address = `ADD` can"),
        (
            "FROM a\nCOPY b git@example.org:c.git d",
            "CW-D030 2:8 `COPY` cannot copy from a repository = `ADD` can",
        ),
        ("FROM a\nADD --checksum=sha256:0 b c", "CW-D030 2:5 `--checksum` is for addresses and repositories"),
        ("FROM a\nADD --checksum=b http://example.org/c d", "CW-D030 2:5 digest algorithm `b` is unknown"),
        ("FROM a\nADD --checksum=b c d e", "CW-D030 2:5 `--checksum` is for one source"),
        (
            "FROM a\nEXPOSE 80 90000",
            "CW-D031 2:11 `90000` is no port = a port is written as `80`, `80/udp` or `8000-8010`",
        ),
        ("FROM a\nVOLUME $b", "CW-D031 2:8 the volume `$b` expands to nothing"),
        (
            "FROM a\nSTOPSIGNAL SIGFOO",
            "CW-D031 2:12 there is no signal `SIGFOO` = a signal is a number or a name such as `SIGTERM`",
        ),
        (
            "ARG SOURCE_DATE_EPOCH=soon\nFROM a",
            "CW-D031 1:1 `SOURCE_DATE_EPOCH` cannot be `soon` = it is a number of seconds, `context`, or the name of a context or stage",
        ),
    ]);
}

#[test]
fn one_does_not_hide_another() {
    let text = "FROM a\nRUM b\nCOPY c\nENV d\nRUN --mont=e f\n";
    let expected = [
        "CW-D010 2:1 unknown instruction `RUM` = did you mean `RUN`?",
        "CW-D013 3:1 `COPY` needs a source and a destination = write `COPY source destination`",
        "CW-D005 4:5 `ENV d` has no value = write `ENV d=value`",
        "CW-D011 5:5 unknown flag `--mont` = did you mean `--mount`?",
    ];
    assert_eq!(lines(text, None), expected);
    assert_eq!(lines("FROM a\nEXPOSE b\nSTOPSIGNAL c", None).len(), 2);
}

#[test]
fn triggers_are_wrong_where_they_come_from() {
    let (dockerfile, _) = Dockerfile::parse("FROM a\nUSER b");
    let base = StageConfig { on_build: vec!["EXPOSE c".to_owned()], ..StageConfig::default() };
    let wrong = evaluate_stage(&dockerfile, 0, base, &EvaluateOptions::default()).unwrap_err();
    assert_eq!(wrong[0].span.of("FROM a\nUSER b"), "a");
    let base = StageConfig { on_build: vec!["RUM c".to_owned()], ..StageConfig::default() };
    let wrong = evaluate_stage(&dockerfile, 0, base, &EvaluateOptions::default()).unwrap_err();
    assert_eq!(wrong[0].message, "the trigger `RUM c` of the base cannot be read: unknown instruction `RUM`");
}
