//! What instructions leave in the config and the history.

use cartwheel_dockerfile::{StepKind, Workdir};

use crate::{evaluate, history};

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn an_entrypoint_clears_an_inherited_command_only() {
    let config = |text: &str| evaluate(text).config;
    assert_eq!(config("FROM x").cmd, Some(strings(&["inherited"])));
    assert_eq!(config("FROM x\nENTRYPOINT a").cmd, None);
    assert_eq!(config("FROM x\nCMD b\nENTRYPOINT a").cmd, Some(strings(&["/bin/sh", "-c", "b"])));
    assert_eq!(config("FROM x\nCMD b\nENTRYPOINT []").entrypoint, None);
    assert_eq!(config("FROM x AS y\nCMD b\nFROM y\nENTRYPOINT [\"a\"]").cmd, None);
}

#[test]
fn shells_are_for_shell_forms() {
    let stage = evaluate("FROM x\nSHELL [\"/bin/bash\", \"-ec\"]\nCMD a  b\nENTRYPOINT [\"$c\"]");
    assert_eq!(stage.config.cmd, Some(strings(&["/bin/bash", "-ec", "a  b"])));
    assert_eq!(stage.config.entrypoint, Some(strings(&["$c"])), "nothing is expanded");
}

#[test]
fn variables_keep_their_place() {
    let stage = evaluate("FROM x\nENV A=1 B=$A\nENV BASE=2 A=3 C=\"$A $B\"\nENV D  old  \"$A\"");
    let env: Vec<String> = stage.config.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(env, ["BASE=2", path, "A=3", "B=", "C=1 ", "D=old  3"]);
}

#[test]
fn work_directories_are_joined() {
    let stage =
        evaluate("FROM x\nWORKDIR a/./b\nWORKDIR ../c\nUSER u\nWORKDIR /d/../e/\nWORKDIR $NONE\nWORKDIR /");
    let kinds: Vec<&StepKind> = stage.steps.iter().map(|step| &step.kind).collect();
    let made = |path: &str, user: &str| StepKind::Workdir(Workdir { path: path.into(), user: user.into() });
    assert_eq!(kinds[0], &made("/a/b", ""));
    assert_eq!(kinds[1], &made("/a/c", ""));
    assert_eq!(kinds[3], &made("/e", "u"));
    assert_eq!(stage.steps[3].created_by.as_deref(), Some("WORKDIR /d/../e/"), "it is said as it is written");
    assert_eq!(kinds[4], &made("/e", "u"));
    assert_eq!(kinds[5], &StepKind::Config, "the root is there");
    assert_eq!(stage.config.working_dir, "/");
}

#[test]
fn lists_are_sets() {
    let config =
        evaluate("FROM x\nENV P=\"90 91/udp\"\nEXPOSE 80 $P 80\nVOLUME /b /a\nVOLUME [\"/a\"]").config;
    assert_eq!(config.exposed_ports.into_iter().collect::<Vec<_>>(), ["80/tcp", "90/tcp", "91/udp"]);
    assert_eq!(config.volumes.into_iter().collect::<Vec<_>>(), ["/a", "/b"]);
}

#[test]
fn single_values() {
    let text = "FROM x\nENV U=me\nLABEL \"a b\"=$U c='$U'\nUSER $U:1\nSTOPSIGNAL SIG${NONE:-INT}\nMAINTAINER $U\n\
                ONBUILD RUN a\nHEALTHCHECK --interval=1m --retries=2 CMD a b";
    let config = evaluate(text).config;
    assert_eq!(
        config.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        ["a b=me", "c=$U"]
    );
    assert_eq!((config.user.as_str(), config.stop_signal.as_deref()), ("me:1", Some("SIGINT")));
    assert_eq!(config.author.as_deref(), Some("$U"));
    assert_eq!(config.on_build, ["RUN a"]);
    let check = config.healthcheck.unwrap();
    assert_eq!(
        (check.test, check.interval, check.retries),
        (strings(&["CMD-SHELL", "a b"]), 60_000_000_000, 2)
    );
    assert_eq!(evaluate("FROM x\nHEALTHCHECK none").config.healthcheck.unwrap().test, ["NONE"]);
}

#[test]
fn the_history_is_what_buildkit_writes() {
    let text = "FROM x\nENV A=1 B=\"2 3\"\nLABEL c d e\nEXPOSE 81 80-81/udp\nVOLUME [\"/a b\", \"/c\"]\nUSER u\nWORKDIR w\n\
                SHELL [\"sh\", \"-c\"]\nCMD [\"a\", \"b \\\"c\\\"\"]\nENTRYPOINT d $A\nSTOPSIGNAL 9\nMAINTAINER m n\n\
                HEALTHCHECK --timeout=1.5s CMD [\"t\"]\nONBUILD RUN z\nRUN [\"r\"]\nCOPY --chown=$A:1 --chmod=u+x a $A/ \n\
                ADD --link a b ./\nCOPY --parents a <<F <<\"G\" /x/\nF\nG\n";
    let expected = [
        "ENV A=1 B=2 3",
        "LABEL c=d e",
        "EXPOSE [80/udp 81/udp 81/tcp]",
        "VOLUME [/a b /c]",
        "USER u",
        "WORKDIR /w",
        "SHELL [sh -c]",
        "CMD [\"a\" \"b \\\"c\\\"\"]",
        "ENTRYPOINT [\"sh\" \"-c\" \"d $A\"]",
        "STOPSIGNAL 9",
        "MAINTAINER m n",
        "HEALTHCHECK {Test:[CMD t] Interval:0s Timeout:1.5s StartPeriod:0s StartInterval:0s Retries:0}",
        "RUN r # buildkit",
        "COPY --chown=1:1 --chmod=u+x a 1/ # buildkit",
        "ADD a b ./ # buildkit",
        "COPY --parents a <<F <<G /x/ # buildkit",
    ];
    assert_eq!(history(text), expected);
}
