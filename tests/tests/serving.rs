//! A whole language model behind the server: many clients, clients that go away, invalid requests, and what is left of
//! all of them.

#[path = "../../runtime/serve/tests/common/http.rs"]
mod http;

use http::{Running, Streamed, ask};
use lostwax::Registry;
use lostwax::compiler::model::{CompileOptions, compile};
use lostwax_runtime::llm::{DecoderOptions, Language, open_decoders};
use lostwax_runtime::{AlignedBuffer, Device, Model};
use lostwax_serve::{Service, Settings};
use lostwax_tests::model_to_test;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const MODEL: &str = "smollm2-135m-instruct-q4_1.gguf";

const CONTEXT: usize = 256;

const SLOTS: usize = 4;

const CHAT: &str = "/v1/chat/completions";

/// Tokens of an answer that is read to its end.
const TOKENS: usize = 8;

/// Clients of one wave that go away.
const CLIENTS: usize = 100;

/// Memory that may come and go from wave to wave: stacks of threads, what the allocator keeps.
const MEMORY_TOLERANCE: u64 = 4 << 20;

const QUESTIONS: [&str; 8] = [
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "Name three colours.",
    "Why is the sky blue? Answer as if I were five years old, in one short sentence without any difficult words.",
    "2 + 2 =",
    "Translate `good morning` into Spanish.",
    "Once upon a time there was a fox who lived in a forest with a bear, a wolf and an owl. Go on with the story.",
    "Who are you?",
];

#[test]
fn a_model_serves_many_clients() {
    let Some(path) = model_to_test(MODEL) else { return };
    let server = Running::serve(service(&compiled(&path)), Settings::default());
    let alone = answers_do_not_depend_on_others(&server);
    makes_sense_or_is_refused(&server);
    go_away(&server, CLIENTS);
    assert_eq!(ask_all(&server), alone);
    let (memory, files) = (resident_memory(), open_files());
    for _ in 0..2 {
        go_away(&server, CLIENTS);
    }
    nothing_is_left(memory, files);
}

fn compiled(path: &Path) -> Model {
    let mut options = CompileOptions::default();
    (options.import.language.context, options.import.language.slots) = (CONTEXT, SLOTS);
    let mut buffer = AlignedBuffer::new();
    compile(
        &Registry::default(),
        &Registry::default().import.load(path, &options.import).unwrap(),
        &options,
        &mut |_| (),
        &mut buffer,
    )
    .unwrap();
    Model::from_bytes(buffer).unwrap()
}

fn service(model: &Model) -> Service {
    let decoders = open_decoders(model, &DecoderOptions::new(Device::cpu()), SLOTS).unwrap();
    Service { name: "smollm2".into(), language: Language::open(model).unwrap(), decoders, embed: None }
}

/// Many clients at once get, token by token, what each got alone, which is what this gives.
fn answers_do_not_depend_on_others(server: &Running) -> Vec<Streamed> {
    let alone: Vec<_> = QUESTIONS.iter().map(|question| server.stream(question, TOKENS)).collect();
    let distinct: BTreeSet<String> = alone.iter().map(|(texts, _)| texts.concat()).filter(|text| !text.is_empty()).collect();
    assert_eq!(distinct.len(), QUESTIONS.len(), "{alone:?}");
    assert_eq!(ask_all(server), alone);
    is_idle(server);
    alone
}

fn ask_all(server: &Running) -> Vec<Streamed> {
    server.streams(&QUESTIONS.map(str::to_string), TOKENS)
}

/// What cannot be answered is refused with a status and the reason, and the server goes on.
fn makes_sense_or_is_refused(server: &Running) {
    let refused = |body: &str| server.unsupported_reason(CHAT, body);
    assert_eq!(refused("{\"messages\": [").0, 400);
    assert_eq!(refused("").0, 400);
    assert_eq!(refused("[]").0, 400);
    assert_eq!(refused("\u{0}\u{1}").0, 400);
    assert_eq!(refused(&"[".repeat(100_000)).0, 400);
    let messages = json!([{ "role": "user", "content": "Hi" }]);
    for wrong in [
        json!({ "messages": "Hi" }),
        json!({ "messages": [{ "role": 1, "content": "Hi" }] }),
        json!({ "messages": [{ "role": "user", "content": 5 }] }),
        json!({ "messages": messages, "max_tokens": "many" }),
        json!({ "messages": messages, "max_tokens": -1 }),
        json!({ "messages": messages, "temperature": -0.5 }),
        json!({ "messages": messages, "top_p": [] }),
        json!({ "messages": messages, "stream": "yes" }),
        json!({ "messages": messages, "stop": 7 }),
    ] {
        assert_eq!(refused(&wrong.to_string()).0, 400, "{wrong}");
    }
    assert_eq!(refused(&ask(&"x".repeat(10 << 20), 5, true)).0, 413);
    assert_eq!(refused(&ask(&"fox ".repeat(CONTEXT), 5, true)), (400, "context_length_exceeded".into()));
    let (texts, reason) = server.stream(&"fox ".repeat(CONTEXT - 50), usize::MAX);
    assert!(reason == "length" || reason == "stop", "{reason} {texts:?}");
    is_idle(server);
}

/// Clients that drop their connection in all ways, with one of four that reads its answer to the end; then nobody holds a slot or waits for one.
fn go_away(server: &Running, clients: usize) {
    for client in 0..clients {
        leave(server, client);
        if client % 4 == 0 {
            server.post(CHAT, &ask(QUESTIONS[client % QUESTIONS.len()], 2, client % 8 == 0));
        }
    }
    is_idle(server);
}

/// One client that goes away before its answer is complete.
fn leave(server: &Running, client: usize) {
    let body = ask(QUESTIONS[client % QUESTIONS.len()], CONTEXT, !client.is_multiple_of(3));
    match client % 5 {
        0 => drop(server.send(CHAT, &body, "")),
        1 => drop(server.send_part(CHAT, &body[..body.len() / 2], body.len())),
        2 => drop(TcpStream::connect(server.address()).unwrap()),
        3 => read_some(server.send(CHAT, &ask(QUESTIONS[client % QUESTIONS.len()], CONTEXT, true), ""), 20),
        _ => read_some(server.send(CHAT, &ask(QUESTIONS[client % QUESTIONS.len()], CONTEXT, true), ""), 700),
    }
}

fn read_some(mut stream: TcpStream, bytes: usize) {
    let mut read = vec![0; bytes];
    stream.read_exact(&mut read).unwrap();
    assert!(read.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&read));
}

fn is_idle(server: &Running) {
    server.wait_for("slots_busy", 0);
    server.wait_for("queue_length", 0);
    assert_eq!(server.metric("slots"), SLOTS as u64);
}

/// Compares with memory and open files of before, where the system tells them. Connections take a moment to close.
fn nothing_is_left(memory: Option<u64>, files: Option<usize>) {
    let start = Instant::now();
    while open_files() > files && start.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(20));
    }
    println!("memory {memory:?} then {:?}, files {files:?} then {:?}", resident_memory(), open_files());
    assert!(open_files() <= files, "{:?} files are open, {files:?} were", open_files());
    let now = resident_memory();
    assert!(now <= memory.map(|bytes| bytes + MEMORY_TOLERANCE), "{now:?} bytes are resident, {memory:?} were");
}

/// Bytes of this process that are in memory.
fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?.trim();
    Some(kibibytes.parse::<u64>().ok()? << 10)
}

fn open_files() -> Option<usize> {
    fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}
