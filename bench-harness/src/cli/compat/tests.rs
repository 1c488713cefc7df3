use super::*;

fn line(tool: Tool, arguments: &str) -> String {
    let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    translate(tool, &words).map_or_else(|error| format!("error: {error}"), |words| words.join(" "))
}

#[test]
fn the_usual_lines_are_understood() {
    let tail = "--warmup 0 --no-validate-length";
    let (of_oha, of_hey, of_ab) =
        (format!("-T 1h {tail}"), format!("-T 20s {tail}"), format!("-T 30s {tail}"));
    assert_eq!(
        line(Tool::Wrk, "-t1 -c64 -d30s --latency http://h/"),
        format!("http://h/ -t 1 -c 64 -d 30s {tail}")
    );
    assert_eq!(line(Tool::Wrk, "-R2000 -d 10 http://h/"), format!("http://h/ -R 2000 -d 10s -c 10 {tail}"));
    assert_eq!(
        line(Tool::Oha, "-z 10s -q 500 --no-tui --disable-keepalive http://h/"),
        format!("http://h/ -d 10s -R 500 --requests-per-connection 1 -c 50 {of_oha}")
    );
    assert_eq!(
        line(Tool::Hey, "-n 1000 -c 20 -q 5 -m POST -T text/plain http://h/"),
        format!("http://h/ -n 1000 -c 20 -X POST -H Content-Type: text/plain {of_hey} -R 100")
    );
    assert_eq!(line(Tool::Ab, "-k -n 100 -c 8 http://h/"), format!("http://h/ -n 100 -c 8 {of_ab}"));
    assert_eq!(
        line(Tool::Ab, "-n 100 http://h/"),
        format!("http://h/ -n 100 -c 1 {of_ab} --requests-per-connection 1")
    );
    assert_eq!(
        line(Tool::Oha, "--connect-to a:80:b:81 http://h/"),
        format!("http://h/ --connect-to b:81 -c 50 -n 200 {of_oha}")
    );
    assert_eq!(
        line(Tool::Oha, "--cacert ca.pem --cert c.pem --key k.pem https://h/"),
        format!("https://h/ --cacert ca.pem --cert c.pem --key k.pem -c 50 -n 200 {of_oha}")
    );
    assert_eq!(line(Tool::Wrk, "-c 5 https://h/"), format!("https://h/ -c 5 {tail} --insecure"));
}

#[test]
fn letters_and_values_may_be_joined() {
    let tail = "--warmup 0 --no-validate-length";
    assert_eq!(line(Tool::Ab, "-kqn100 -c8 http://h/"), format!("http://h/ -n 100 -c 8 -T 30s {tail}"));
    assert_eq!(
        line(Tool::Ab, "-Tx/y -n 1 -k http://h/"),
        format!("http://h/ -H Content-Type: x/y -n 1 -c 1 -T 30s {tail}")
    );
    assert_eq!(line(Tool::Hey, "-n=5 -c=2 http://h/"), format!("http://h/ -n 5 -c 2 -T 20s {tail}"));
    assert_eq!(line(Tool::Wrk, "--connections=1k http://h/"), format!("http://h/ -c 1000 {tail}"));
    assert!(line(Tool::Hey, "-c8 http://h/").contains("`-c8` of Hey is not understood"), "nor does hey");
}

#[test]
fn an_option_does_what_it_does_in_its_tool() {
    let tail = "--warmup 0 --no-validate-length";
    let closing = "--requests-per-connection 1";
    assert_eq!(
        line(Tool::Ab, "-p body.json -t 5 http://h/"),
        format!("http://h/ -X POST --body-file body.json -d 5s -c 1 -n 50000 -T 30s {tail} {closing}")
    );
    assert_eq!(
        line(Tool::Ab, "-k -A ada:secret -C a=1 -s 7 http://h/"),
        format!("http://h/ -H Authorization: Basic YWRhOnNlY3JldA== -H Cookie: a=1 -T 7s -c 1 -n 1 {tail}")
    );
    assert_eq!(line(Tool::Hey, "-n 9 -z 2s -t 0 http://h/"), format!("http://h/ -d 2s -T 1h -c 50 {tail}"));
    assert_eq!(
        line(Tool::Oha, "-d x http://h/"),
        format!("http://h/ --body x -c 50 -X GET -n 200 -T 1h {tail}"),
        "oha and hey send what they were given with GET"
    );
    assert_eq!(
        line(Tool::Hey, "-m POST -d x http://h/"),
        format!("http://h/ -X POST --body x -c 50 -n 200 -T 20s {tail}")
    );
    assert_eq!(line(Tool::Oha, "http://h/ -p 4 -r 0"), format!("http://h/ -c 50 -n 200 -T 1h {tail}"));
    assert!(line(Tool::Oha, "-r 5 http://h/").contains("`-r 5` of Oha: redirections are not followed"));
}

#[test]
fn what_is_not_understood_is_named() {
    assert!(line(Tool::Wrk, "-s x.lua http://h/").contains("Lua"));
    assert!(line(Tool::Hey, "-x proxy http://h/").contains("`-x` of Hey: proxies"));
    for (tool, option) in [(Tool::Wrk, "-v"), (Tool::Oha, "--help"), (Tool::Hey, "-h"), (Tool::Ab, "-V")] {
        let said = line(tool, option);
        assert!(said.contains(&format!("`{option}` of {tool:?}: nothing is loaded by it")), "{said}");
    }
    assert!(line(Tool::Hey, "-Y http://h/").contains("`-Y` of Hey is not understood"));
    assert!(line(Tool::Ab, "-c many http://h/").contains("`many` is not a whole number"));
    assert!(line(Tool::Wrk, "-c").contains("`-c` has no value"));
    assert!(line(Tool::Wrk, "-c 5").contains("no URL"));
}

#[test]
fn words_are_quoted_for_the_shell() {
    assert_eq!(
        (quote("a:b"), quote("a b"), quote("it's")),
        ("a:b".into(), "'a b'".into(), r"'it'\''s'".into())
    );
}
