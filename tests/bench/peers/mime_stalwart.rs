// SPDX-License-Identifier: MIT
// stalwart's mail-parser: it decodes and converts all contents while it parses, so there is only the whole.
// mime_stalwart SECONDS WORK,WORK… FILE…
use mail_parser::{MessageParser, PartType};
use std::time::Instant;

extern "C" {
    fn clock() -> i64;
}

fn cpu() -> f64 {
    // POSIX: CLOCKS_PER_SEC is a million.
    unsafe { clock() as f64 / 1e6 }
}

fn length(message: &mail_parser::Message) -> usize {
    message.parts.iter().map(|part| match &part.body {
        PartType::Text(text) | PartType::Html(text) => text.len(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.len(),
        PartType::Message(inner) => inner.raw_message.len(),
        PartType::Multipart(_) => 0,
    }).sum()
}

#[inline(never)]
fn bench_round(files: &[Vec<u8>]) -> (usize, usize) {
    let (mut made, mut count) = (0, 0);
    for file in files {
        // A message that it refuses, or cannot stand, is not counted.
        if let Ok(Some(n)) = std::panic::catch_unwind(|| MessageParser::default().parse(file).map(|m| length(&m))) {
            made += n;
            count += 1;
        }
    }
    (made, count)
}

fn main() {
    std::panic::set_hook(Box::new(|_| ()));
    let arguments: Vec<String> = std::env::args().collect();
    let seconds: f64 = arguments[1].parse().unwrap();
    if !arguments[2].split(',').any(|work| work == "whole") {
        return;
    }
    let files: Vec<Vec<u8>> = arguments[3..].iter().map(|path| std::fs::read(path).unwrap()).collect();
    let bytes: usize = files.iter().map(|file| file.len()).sum();
    let (start, mut best, mut rounds, mut found) = (Instant::now(), f64::MAX, 0, (0, 0));
    while rounds == 0 || start.elapsed().as_secs_f64() < seconds {
        let began = cpu();
        // A clock that ticks in microseconds wants rounds of some length.
        let mut times = 0;
        while times == 0 || (seconds > 0.0 && cpu() - began < 0.005) {
            found = bench_round(&files);
            times += 1;
        }
        best = f64::min(best, (cpu() - began) / times as f64);
        rounds += times;
    }
    println!("{{\"work\":\"whole\",\"best\":{best:.9},\"rounds\":{rounds},\"count\":{},\"bytes\":{bytes},\"made\":{},\"rss\":0}}",
             found.1, found.0);
}
