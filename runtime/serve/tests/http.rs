//! The server as its clients see it, with a decoder that is written in Rust.

#[path = "common/decoder.rs"]
mod decoder;
#[path = "common/http.rs"]
mod http;

use decoder::{Babbler, language};
use http::{Answer, Running, ask};
use lostwax_runtime::llm::Decoder;
use lostwax_serve::{EmbedFn, Service, Settings};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A server of babblers that take so long for each run.
fn start(slots: usize, pause: Duration, settings: Settings) -> Running {
    let decoders = (0..slots).map(|_| Box::new(Babbler::with_pause(pause)) as Box<dyn Decoder>).collect();
    Running::serve(Service { name: "babbler".into(), language: language(), decoders, embed: None }, settings)
}

fn encoder() -> Running {
    let embed: EmbedFn = Box::new(|tokens| Ok(vec![tokens.len() as f32, 0.5]));
    let service = Service { name: "encoder".into(), language: language(), decoders: Vec::new(), embed: Some(embed) };
    Running::serve(service, Settings::default())
}

fn quick(slots: usize) -> Running {
    start(slots, Duration::ZERO, Settings::default())
}

#[test]
fn silent_connections_are_closed() {
    let settings = Settings { header_timeout: Duration::from_millis(200), ..Settings::default() };
    let server = start(1, Duration::ZERO, settings);
    for start in ["", "POST /v1/completions HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(start.as_bytes()).unwrap();
        let mut rest = Vec::new();
        assert!(stream.read_to_end(&mut rest).is_ok(), "{start:?}");
    }
    assert_eq!(server.get("/health").0, 200);
}

#[test]
fn a_chat_is_answered() {
    let server = quick(1);
    let answer = server.json("/v1/chat/completions", serde_json::from_str(&ask("hello", 5, false)).unwrap());
    let choice = &answer["choices"][0];
    assert_eq!((&answer["object"], &answer["model"]), (&"chat.completion".into(), &"babbler".into()));
    assert_eq!((&choice["message"]["role"], &choice["finish_reason"]), (&"assistant".into(), &"length".into()));
    assert_eq!(choice["message"]["content"].as_str().unwrap().len(), 5);
    let prompt = "<user>hello\n<assistant>".len();
    assert_eq!(answer["usage"]["prompt_tokens"], prompt);
    assert_eq!((&answer["usage"]["completion_tokens"], &answer["usage"]["total_tokens"]), (&5.into(), &(prompt + 5).into()));
    let (texts, reason) = server.stream("hello", 5);
    assert_eq!((texts.concat().as_str(), reason.as_str()), (choice["message"]["content"].as_str().unwrap(), "length"));
    assert_eq!(server.get("/health").0, 200);
    assert_eq!(server.metric("generated_tokens_total"), 10);
}

#[test]
fn texts_are_completed() {
    let server = quick(2);
    let complete = |more: Value| {
        let mut request = json!({ "prompt": "once upon", "temperature": 0, "max_tokens": 400 });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.json("/v1/completions", request)["choices"][0].clone()
    };
    let whole = complete(json!({}));
    let text = whole["text"].as_str().unwrap();
    assert!(whole["finish_reason"] == "stop" && text.len() > 4, "{whole}");
    let stopped = complete(json!({ "stop": [text[2..4]] }));
    assert_eq!(
        (stopped["text"].as_str().unwrap(), &stopped["finish_reason"]),
        (&text[..text.find(&text[2..4]).unwrap()], &"stop".into())
    );
    let drawn =
        |seed: u64| complete(json!({ "temperature": 2.0, "min_p": 0, "top_p": 1, "top_k": 0, "seed": seed, "max_tokens": 9 }));
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
    let tokens: Vec<u32> = b"once upon".iter().map(|byte| u32::from(*byte)).collect();
    assert_eq!(complete(json!({ "prompt": tokens })), whole);
    let streamed = server.post(
        "/v1/completions",
        &json!({ "prompt": "once upon", "temperature": 0, "max_tokens": 3, "stream": true, "stream_options": { "include_usage": true } }).to_string(),
    );
    assert!(
        streamed.head.contains("text/event-stream") && streamed.body.contains("\"completion_tokens\":3"),
        "{}",
        streamed.body
    );
}

#[test]
fn many_clients_get_what_one_gets() {
    let questions: Vec<String> = (0..8).map(|client| format!("question {client} {}", "x".repeat(300 * (client % 3)))).collect();
    let alone = quick(1);
    let expected: Vec<_> = questions.iter().map(|question| alone.stream(question, 200)).collect();
    for slots in [3, 8] {
        let server = start(slots, Duration::from_millis(1), Settings::default());
        assert_eq!(server.streams(&questions, 200), expected);
        server.wait_for("slots_busy", 0);
    }
}

#[test]
fn clients_that_go_away_leave_their_slots() {
    let server = start(2, Duration::from_millis(2), Settings::default());
    for client in 0..100 {
        let mut stream = server.send("/v1/chat/completions", &ask("go on", 2000, client % 2 == 0), "");
        if client % 4 == 0 {
            stream.read_exact(&mut [0; 20]).unwrap();
        }
    }
    server.wait_for("slots_busy", 0);
    server.wait_for("queue_length", 0);
    assert_eq!(server.stream("hello", 3).0.concat().len(), 3);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = quick(1);
    let chat = "/v1/chat/completions";
    assert_eq!(server.unsupported_reason(chat, "{\"messages\": [").0, 400);
    assert_eq!(server.unsupported_reason(chat, "{}").0, 400);
    assert_eq!(server.unsupported_reason(chat, "{\"messages\": []}").0, 400);
    assert_eq!(server.unsupported_reason(chat, &ask(&"x".repeat(10 << 20), 5, false)).0, 413);
    assert_eq!(server.unsupported_reason(chat, &ask(&"x".repeat(3000), 5, true)), (400, "context_length_exceeded".into()));
    assert_eq!(server.unsupported_reason("/v1/completions", "{\"prompt\": \"x\", \"n\": 2}"), (400, "unsupported".into()));
    assert_eq!(server.unsupported_reason("/v1/completions", "{\"prompt\": \"x\", \"temperature\": -1}").0, 400);
    assert_eq!(server.unsupported_reason("/v1/completions", "{\"prompt\": [\"x\", \"y\"]}").0, 400);
    assert_eq!(server.unsupported_reason("/v1/completions", "{\"prompt\": [999999]}").0, 400);
    assert_eq!(server.unsupported_reason("/v1/embeddings", "{\"input\": \"x\"}"), (400, "unsupported".into()));
    assert_eq!(server.unsupported_reason("/v1/nothing", "{}").0, 404);
    assert_eq!(server.unsupported_reason("/v1/models", "{}").0, 405);
    assert_eq!(server.get("/v1/models/babbler").0, 200);
    assert_eq!(server.get("/v1/models/other").0, 404);
    assert_eq!(server.stream("hello", 3).0.concat().len(), 3);
}

#[test]
fn a_key_opens_the_server() {
    let server = start(1, Duration::ZERO, Settings { api_key: Some("secret".into()), ..Settings::default() });
    let with = |headers: &str| Answer::to(server.send("/v1/chat/completions", &ask("hello", 2, false), headers));
    assert_eq!((with("").status, with("authorization: Bearer wrong\r\n").status), (401, 401));
    assert_eq!(with("").json()["error"]["code"], "invalid_api_key");
    assert_eq!(with("authorization: Bearer secret\r\n").status, 200);
    assert_eq!((server.get("/health").0, server.get("/metrics").0, server.get("/v1/models").0), (200, 401, 401));
}

#[test]
fn who_does_not_fit_is_sent_away() {
    let server = start(1, Duration::from_millis(5), Settings { queue_length: 1, ..Settings::default() });
    let body = ask("go on and on", 2000, true);
    let first = server.send("/v1/chat/completions", &body, "");
    server.wait_for("slots_busy", 1);
    let second = server.send("/v1/chat/completions", &body, "");
    server.wait_for("queue_length", 1);
    let third = server.post("/v1/chat/completions", &body);
    assert!(third.status == 503 && third.head.contains("retry-after: "), "{}", third.head);
    drop((first, second));
    server.wait_for("queue_length", 0);
    assert_eq!(server.stream("hello", 2).0.concat().len(), 2);
}

#[test]
fn a_request_has_its_time() {
    let settings = Settings { timeout: Duration::from_millis(100), ..Settings::default() };
    let server = start(1, Duration::from_millis(30), settings);
    assert_eq!(server.unsupported_reason("/v1/chat/completions", &ask("hello", 2000, false)), (504, "timeout".into()));
    let streamed = server.post("/v1/chat/completions", &ask("hello", 2000, true));
    assert!(streamed.status == 200 && streamed.body.contains("\"code\":\"timeout\""), "{}", streamed.body);
    server.wait_for("slots_busy", 0);
}

#[test]
fn a_server_that_stops_ends_its_texts() {
    let mut server = start(1, Duration::from_millis(5), Settings::default());
    let first = server.send("/v1/chat/completions", &ask("hello", 60, true), "");
    server.wait_for("slots_busy", 1);
    let second = server.send("/v1/chat/completions", &ask("hello", 60, false), "");
    server.wait_for("queue_length", 1);
    server.stop();
    assert!(Answer::to(first).body.contains("[DONE]"));
    assert_eq!(Answer::to(second).status, 503);
    server.join();
    assert!(TcpStream::connect(server.address()).is_err());
}

#[test]
fn texts_become_vectors() {
    let server = encoder();
    let answer = server.json("/v1/embeddings", json!({ "input": ["abc", "abcd"] }));
    assert_eq!((&answer["data"][0]["embedding"], &answer["data"][1]["embedding"]), (&json!([3.0, 0.5]), &json!([4.0, 0.5])));
    assert_eq!(answer["usage"]["total_tokens"], 7);
    let encoded = server.json("/v1/embeddings", json!({ "input": "abc", "encoding_format": "base64" }));
    assert_eq!(encoded["data"][0]["embedding"], "AABAQAAAAD8=");
    assert_eq!(server.unsupported_reason("/v1/chat/completions", &ask("hello", 1, false)), (400, "unsupported".into()));
    assert_eq!(server.unsupported_reason("/v1/embeddings", "{\"input\": []}").0, 400);
}
