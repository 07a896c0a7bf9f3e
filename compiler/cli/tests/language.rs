//! The verbs for language models, on one that is compiled for the tests.

mod common;
#[path = "../../../runtime/serve/tests/common/decoder.rs"]
mod decoder;
#[path = "common/tiny.rs"]
mod tiny;

use common::Workplace;
use lostwax_runtime::format::LanguageModel;
use lostwax_runtime::llm::Message;
use serde_json::{Value, json};

const ALL: &[&str] = &["prefill", "decode", "score"];

fn place(entry_points: &[&str]) -> Workplace {
    let place = Workplace::new();
    place.write("tiny.lwx", &tiny::artifact(entry_points));
    place
}

fn generate(place: &Workplace, options: &str) -> Value {
    place.json(&format!("generate tiny.lwx -p hello --raw --temperature 0 --max-tokens 12 {options}"), 0)
}

#[test]
fn text_is_generated_and_the_ways_agree() {
    let place = place(ALL);
    let whole = generate(&place, "");
    let text = whole["text"].as_str().unwrap();
    assert!(text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_lowercase()), "{text}");
    assert_eq!((&whole["finish_reason"], whole["tokens"].as_array().unwrap().len()), (&"max_tokens".into(), 12));
    assert_eq!(whole["timings"]["prompt_tokens"], 5);
    assert!(whole["timings"]["decode_tps"].is_number() && whole["load_ms"].is_number());
    for options in ["--chunk 1", "--chunk 2", "--threads 1"] {
        assert_eq!(generate(&place, options)["tokens"], whole["tokens"], "{options}");
    }
    let stopped = generate(&place, &format!("--stop {}", &text[4..6]));
    assert_eq!(
        (stopped["text"].as_str().unwrap(), &stopped["finish_reason"]),
        (&text[..text.find(&text[4..6]).unwrap()], &"stop".into())
    );
    let (code, stdout, stderr) = place.run("generate tiny.lwx -p hello --raw --temperature 0 --max-tokens 12");
    assert!(code == 0 && stdout.trim_end() == text && stderr.contains("tokens/s"), "{stdout} {stderr}");
    let full = place.json("generate tiny.lwx -p hello --raw --seed 3", 0);
    assert_eq!((&full["finish_reason"], &full["tokens"].as_array().unwrap().len()), (&"context_full".into(), &60));
    assert_eq!(place.run(&format!("generate tiny.lwx --raw -p {}", "x".repeat(65))).0, 6);
    assert_eq!(place.run("generate tiny.lwx -p hello --temperature=-1").0, 2);
}

#[test]
fn one_entry_point_is_enough() {
    let expected = generate(&place(ALL), "");
    for entry_point in ["prefill", "decode"] {
        assert_eq!(generate(&place(&[entry_point]), "")["tokens"], expected["tokens"], "{entry_point}");
    }
}

#[test]
fn texts_are_cut_into_tokens() {
    let place = place(&["decode"]);
    assert_eq!(place.json("tokenize tiny.lwx hi", 0), json!({ "ids": [104, 105], "tokens": ["<0x68>", "<0x69>"] }));
    assert_eq!(place.run("tokenize tiny.lwx hi --ids").1.trim(), "[104, 105]");
}

#[test]
fn perplexity_is_the_same_with_and_without_scores() {
    let text = "the quick brown fox jumps over the lazy dog and back again, as foxes do on sunny days\n".repeat(2);
    let measure = |entry_points: &[&str]| {
        let place = place(entry_points);
        place.write("text.txt", text.as_bytes());
        assert_eq!(place.run("perplexity tiny.lwx -f text.txt --context 1024").0, 2);
        place.json("perplexity tiny.lwx -f text.txt --context 48", 0)
    };
    let (with, without) = (measure(ALL), measure(&["prefill", "decode"]));
    assert_eq!((&with["chunks"], &with["tokens"]), (&3.into(), &(3 * 23).into()));
    let [a, b] = [&with, &without].map(|measured| measured["perplexity"].as_f64().unwrap());
    assert!(a > 1.0 && (a - b).abs() < 1e-4 * a, "{a} {b}");
}

#[test]
fn bench_counts_tokens() {
    let measured = place(ALL).json("bench tiny.lwx -p 16 -n 4 -r 2 --threads 1,2", 0);
    for field in ["prefill_tps", "decode_tps", "first_token_ms", "load_ms", "threads"] {
        assert!(measured[field].as_f64().unwrap() > 0.0, "{field}");
    }
    assert_eq!((measured["runs"].as_array().unwrap().len(), &measured["tests"][0]["test"]), (2, &"pp16".into()));
    assert!(measured["tests"][1]["memory_fraction"].as_f64().unwrap() > 0.0);
    let (code, table, _) = place(&["decode"]).run("bench tiny.lwx -p 3 -n 0 -r 1 --threads 1");
    assert!(code == 0 && table.contains("pp3") && !table.contains("tg"), "{table}");
}

#[test]
fn conversations_go_on() {
    let place = place(ALL);
    let chat = "chat tiny.lwx --temperature 0 --max-tokens 3";
    let (code, stdout, stderr) = place.run_on(chat, "hi\n/help\n/system be brief\n/nonsense\n/reset\nhi\n/exit\nnever\n");
    assert!(code == 0 && stdout.split_whitespace().all(|answer| answer.len() == 3), "{stdout} {stderr}");
    assert!(stdout.split_whitespace().count() == 2 && stderr.contains("/reset") && stderr.contains("no command `/nonsense`"));
    let output = place.command().args(chat.split_whitespace()).arg("--json").write_stdin("hi\n").output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["messages"][0]["content"], said["answers"].as_array().unwrap().len()), (&"hi".into(), 1));
    let (code, _, stderr) = place.run_on(chat, &format!("{}\nhi\n", "x".repeat(99)));
    assert!(code == 0 && stderr.contains("do not fit") && stderr.contains("tokens/s"), "{stderr}");
}

#[test]
fn states_are_saved_and_gone_on_with() {
    let place = place(ALL);
    let first = generate(&place, "--save-state a.state");
    assert_eq!(first["state"], json!({ "loaded_tokens": null, "saved_tokens": 16 }));
    let again = generate(&place, "--load-state a.state --save-state a.state");
    assert_eq!((&again["tokens"], &again["state"]["loaded_tokens"]), (&first["tokens"], &16.into()));
    assert_eq!((&again["timings"]["cached_tokens"], &again["timings"]["prompt_tokens"]), (&4.into(), &1.into()));
    let longer = |options: &str| {
        let prompt = format!("hello{}x", first["text"].as_str().unwrap());
        place.json(&format!("generate tiny.lwx -p {prompt} --raw --temperature 0 -n 8 {options}"), 0)
    };
    let (fresh, restored) = (longer(""), longer("--load-state a.state"));
    assert_eq!((&restored["tokens"], &restored["timings"]["cached_tokens"]), (&fresh["tokens"], &16.into()));
    assert_eq!(fresh["state"], json!({ "loaded_tokens": null, "saved_tokens": null }));
    let read = place.json("generate tiny.lwx -p hello --raw -n 0 --save-state b.state", 0);
    assert_eq!((&read["text"], &read["state"]["saved_tokens"]), (&"".into(), &5.into()));
    assert!(place.leftovers().is_empty());
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let place = place(ALL);
    generate(&place, "--save-state a.state");
    let refused = |file: &str, problem: &str| {
        let (code, _, stderr) = place.run(&format!("generate tiny.lwx -p hello --raw -n 1 --load-state {file}"));
        assert!(code == 2 && stderr.contains(problem) && stderr.contains(file), "{file} {code}: {stderr}");
    };
    refused("none.state", "No such file");
    refused("tiny.lwx", "this is not a saved state");
    let mut bytes = place.read("a.state");
    bytes[60] ^= 1;
    place.write("damaged.state", &bytes);
    refused("damaged.state", "damaged");
    place.write("short.state", &bytes[..40]);
    refused("short.state", "damaged");
    place.write("other.lwx", &tiny::artifact(&["prefill", "decode"]));
    let other = place.run("generate other.lwx -p hello --raw -n 1 --save-state other.state");
    assert_eq!(other.0, 0, "{}", other.2);
    refused("other.state", "another artifact");
    let (code, _, stderr) = place.run("generate tiny.lwx -p hello --raw -n 1 --save-state missing/a.state");
    assert!(code == 2 && stderr.contains("missing/a.state"), "{stderr}");
}

#[test]
fn conversations_are_saved() {
    let place = place(ALL);
    let talk = |options: &str, lines: &str| {
        let args = format!("chat tiny.lwx --temperature 0 --max-tokens 3 {options} --json");
        let (code, stdout, stderr) = place.run_on(&args, lines);
        assert_eq!(code, 0, "{stderr}");
        (serde_json::from_str::<Value>(&stdout).unwrap(), stderr)
    };
    let (whole, _) = talk("--system s", "a\nb\n");
    let (first, _) = talk("--system s --save-state talk.state", "a\n");
    assert!(first["state"]["saved_tokens"].as_u64() > Some(20), "{first}");
    let (second, _) = talk("--load-state talk.state", "b\n");
    assert_eq!((&second["messages"], &second["state"]["loaded_tokens"]), (&whole["messages"], &first["state"]["saved_tokens"]));
    assert_eq!(second["answers"][0]["timings"]["cached_tokens"], whole["answers"][1]["timings"]["cached_tokens"]);
    let (commands, stderr) = talk("", "c\n/save\n/load nothing.state\n/load talk.state\nb\n/save again.state\n");
    assert_eq!(commands["messages"], whole["messages"]);
    assert!(stderr.contains("nothing.state: ") && stderr.contains("/save takes a file"), "{stderr}");
    assert!(place.path("again.state").exists(), "{stderr}");
    generate(&place, "--save-state plain.state");
    assert_eq!(talk("--load-state plain.state --system s", "a\n").0["messages"], first["messages"]);
}

#[test]
fn tokenizer_and_template_are_verified() {
    let place = place(&["decode"]);
    let (code, stdout, _) = place.run("verify tiny.lwx");
    assert!(code == 0 && stdout.contains("tokenizer not checked") && stdout.contains("template not checked"), "{stdout}");
    let language = decoder::language();
    let conversation = language.record_template(&[Message::new("user", "hi <b>")]).unwrap();
    let text = language.record_tokenizer("hi").unwrap();
    let write = |change: fn(&mut LanguageModel)| {
        let (texts, conversations) = (vec![text.clone()], vec![conversation.clone()]);
        let artifact = tiny::artifact_with(&["decode"], |model| {
            (model.vectors, model.conversations) = (texts, conversations);
            change(model);
        });
        place.write("checked.lwx", &artifact);
    };
    write(|_| {});
    let (code, stdout, _) = place.run("verify checked.lwx");
    assert!(code == 0 && stdout.contains("tokenizer ok (1 texts)\ntemplate ok (1 conversations)"), "{stdout}");
    write(|model| model.vectors[0].ids = vec![104, 106]);
    let (code, stdout, _) = place.run("verify checked.lwx");
    assert!(code == 1 && stdout.contains("NOT ok (1 of 1 texts): \"hi\" gives [104, 105], not [104, 106]"), "{stdout}");
    write(|model| model.conversations[0].text.push('!'));
    let verified = place.json("verify checked.lwx", 1);
    assert_eq!(
        (&verified["ok"], &verified["tokenizer"]["ok"], &verified["template"]["ok"]),
        (&false.into(), &true.into(), &false.into())
    );
    assert_eq!(verified["template"]["differences"][0]["input"], "hi <b>");
    write(|model| model.chat_template = "{{ raise_exception('no') }}".into());
    assert!(place.json("verify checked.lwx", 1)["template"]["differences"][0]["found"].as_str().unwrap().contains("no"));
}

#[test]
fn texts_are_compared() {
    let place = place(&["embed"]);
    let found = place.json("embed tiny.lwx abc cab xyz", 0);
    let similarity = |a: usize, b: usize| found["similarities"][a][b].as_f64().unwrap();
    assert!((similarity(0, 0) - 1.0).abs() < 1e-5 && (similarity(0, 1) - 1.0).abs() < 1e-5 && similarity(0, 2) < 0.99);
    assert_eq!(found["embeddings"][2]["embedding"].as_array().unwrap().len(), 32);
    assert!(place.run("embed tiny.lwx abc xyz").1.contains("xyz"));
    let (code, _, stderr) = place.run("generate tiny.lwx -p hi");
    assert!(code == 2 && stderr.contains("neither `prefill` nor `decode`"), "{stderr}");
}

#[cfg(unix)]
mod serve {
    use super::{ALL, place};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;
    use std::process::{Command, Stdio};

    #[test]
    fn a_model_is_served_until_it_is_interrupted() {
        let place = place(ALL);
        let mut command = Command::new(env!("CARGO_BIN_EXE_lostwax"));
        command.args(["serve", "tiny.lwx", "--port", "0", "--slots", "2", "--threads", "1"]).current_dir(place.path(""));
        let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stderr = BufReader::new(server.stderr.take().unwrap());
        stderr.read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split(';').next().unwrap();
        let body = "{\"prompt\":\"hello\",\"max_tokens\":4,\"temperature\":0}";
        let head =
            format!("POST /v1/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"completion_tokens\":4"), "{answer}");
        assert!(Command::new("kill").args(["-INT", &server.id().to_string()]).status().unwrap().success());
        assert!(server.wait().unwrap().success());
    }
}
