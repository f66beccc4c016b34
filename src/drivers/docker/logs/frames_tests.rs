//! Both forms of a log, whole and cut anywhere, and input that is none.

use proptest::prelude::*;

use super::super::lines::{LINE_MAX, Line};
use super::*;

/// A line that came out: its text, time and output, and whether it was cut.
type Told = (Vec<u8>, i64, OutputOf, bool);

#[derive(Default)]
struct Out(Vec<Told>);

impl TakesLines for Out {
    fn take(&mut self, line: Line<'_>) {
        self.0.push((line.text.to_vec(), line.at_ns, line.stream, line.is_cut));
    }
}

const BASE: i64 = 1_795_255_200_000_000_000;

fn time(at_ns: i64) -> String {
    format!("{:.9} ", jiff::Timestamp::from_nanosecond(at_ns.into()).unwrap())
}

/// A message as an engine sends it.
fn message(output: OutputOf, at_ns: i64, text: &[u8]) -> Vec<u8> {
    let body = [time(at_ns).as_bytes(), text].concat();
    let number = match output {
        OutputOf::Console => return body,
        OutputOf::Stdout => 1,
        OutputOf::Stderr => 2,
    };
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[number, 0, 0, 0], &length[..], &body].concat()
}

/// A line as messages: parts of the full size, and what is left with the end of the line.
fn messages(output: OutputOf, at_ns: i64, line: &[u8]) -> Vec<Vec<u8>> {
    let line = [line, b"\n"].concat();
    let (parts, rest) = line.split_at((line.len() - 1) / PART_LEN * PART_LEN);
    let mut all: Vec<_> = parts.chunks(PART_LEN).map(|part| message(output, at_ns, part)).collect();
    all.push(message(output, at_ns, rest));
    all
}

/// What comes out of input in pieces; the end is in good order if it is told.
fn read(has_terminal: bool, pieces: &[&[u8]], does_end: bool) -> Result<Vec<Told>, Nonsense> {
    let (mut framer, mut out) = (Framer::new(has_terminal), Out::default());
    for piece in pieces {
        framer.feed(piece, &mut out)?;
    }
    if does_end {
        framer.end(&mut out)?;
    }
    Ok(out.0)
}

/// Cuts at every so many bytes.
fn cut<'a>(wire: &'a [u8], steps: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = wire;
    let mut pieces = Vec::new();
    for step in steps.iter().cycle() {
        let (piece, more) = rest.split_at((*step).min(rest.len()));
        pieces.push(piece);
        rest = more;
        if rest.is_empty() {
            return pieces;
        }
    }
    vec![wire]
}

#[test]
fn a_line_is_its_bytes_without_its_end() {
    let raw: &[u8] = b"\x1b[31mred\x1b[0m \0 \xff\xfe caf\xc3 \r mid";
    for (given, text) in [(&b"plain"[..], &b"plain"[..]), (b"dos\r", b"dos"), (b"", b""), (b"\r", b""), (raw, raw)] {
        for output in [OutputOf::Stdout, OutputOf::Stderr, OutputOf::Console] {
            let wire = message(output, BASE, &[given, b"\n"].concat());
            let expected = vec![(text.to_vec(), BASE, output, false)];
            assert_eq!(read(output == OutputOf::Console, &[&wire], true), Ok(expected));
        }
    }
}

#[test]
fn long_lines_of_two_outputs_are_put_together_apart() {
    let (one, two) = (vec![b'1'; 2 * PART_LEN + 7], vec![b'2'; PART_LEN]);
    let one_parts = messages(OutputOf::Stdout, BASE, &one);
    let two_parts = messages(OutputOf::Stderr, BASE + 1, &two);
    assert_eq!((one_parts.len(), two_parts.len()), (3, 2), "a line of exactly one part has an empty rest");
    let between = message(OutputOf::Stdout, BASE + 2, b"next\n");
    let wire = [&one_parts[0], &two_parts[0], &one_parts[1], &two_parts[1], &one_parts[2], &between];
    let wire: Vec<&[u8]> = wire.into_iter().map(Vec::as_slice).collect();
    let expected = vec![
        (two, BASE + 1, OutputOf::Stderr, false),
        (one, BASE, OutputOf::Stdout, false),
        (b"next".to_vec(), BASE + 2, OutputOf::Stdout, false),
    ];
    assert_eq!(read(false, &wire, true), Ok(expected));
}

#[test]
fn what_a_process_leaves_without_an_end_is_a_line() {
    for output in [OutputOf::Stdout, OutputOf::Console] {
        let wire = message(output, BASE, b"password: ");
        let told = read(output == OutputOf::Console, &[&wire], true);
        assert_eq!(told, Ok(vec![(b"password: ".to_vec(), BASE, output, false)]));
    }
    // With heads it does not even have to wait for the end.
    let wire = message(OutputOf::Stdout, BASE, b"password: ");
    assert_eq!(read(false, &[&wire], false).unwrap().len(), 1);
}

#[test]
fn a_full_part_at_the_end_comes_again_and_is_no_line_yet() {
    for output in [OutputOf::Stdout, OutputOf::Console] {
        let parts = messages(output, BASE, &vec![b'x'; PART_LEN + 5]);
        assert_eq!(read(output == OutputOf::Console, &[&parts[0]], true), Ok(vec![]));
        // Its rest may carry another time: the journal notes one for each part.
        let rest = message(output, BASE + 9, b"rest\n");
        let told = read(output == OutputOf::Console, &[&parts[0], &rest], true).unwrap();
        assert_eq!(told.iter().map(|(text, at, ..)| (text.len(), *at)).collect::<Vec<_>>(), [(PART_LEN + 4, BASE)]);
    }
}

#[test]
fn a_terminals_text_after_a_full_part_may_look_like_anything() {
    for tail in ["plain", "2026 rest", "20:26:11Z", "-----------------------------------------------------", ""] {
        // An engine with larger parts: no time comes in between.
        let text = [&vec![b'x'; PART_LEN][..], tail.as_bytes()].concat();
        let wire = [message(OutputOf::Console, BASE, &text), b"\n".to_vec()].concat();
        let told = read(true, &[&wire], true);
        assert_eq!(told, Ok(vec![(text, BASE, OutputOf::Console, false)]), "{tail}");
    }
}

#[test]
fn a_terminals_long_line_whose_end_is_left_out_ends_where_the_next_message_begins() {
    let parts = messages(OutputOf::Console, BASE, &vec![b'x'; 2 * PART_LEN + 5]);
    let rest = message(OutputOf::Console, BASE, b"xx \r2026 \rxx\r");
    let long = messages(OutputOf::Console, BASE + 1, &vec![b'y'; PART_LEN + 1]);
    let long_rest = message(OutputOf::Console, BASE + 1, b"y\r");
    let next = message(OutputOf::Console, BASE + 2, b"next\r\n");
    let wire = [&parts[0], &parts[1], &rest[..], &long[0], &long_rest, &next].concat();
    let expected = vec![
        ([&vec![b'x'; 2 * PART_LEN][..], b"xx \r2026 \rxx"].concat(), BASE, OutputOf::Console, false),
        (vec![b'y'; PART_LEN + 1], BASE + 1, OutputOf::Console, false),
        (b"next".to_vec(), BASE + 2, OutputOf::Console, false),
    ];
    for steps in [[1 << 20], [1], [7], [31]] {
        assert_eq!(read(true, &cut(&wire, &steps), true).as_ref(), Ok(&expected));
    }
}

#[test]
fn a_line_beyond_the_most_is_cut_and_the_next_one_is_whole() {
    for output in [OutputOf::Stdout, OutputOf::Console] {
        let mut wire = messages(output, BASE, &vec![b'x'; LINE_MAX + 3 * PART_LEN]).concat();
        wire.extend(message(output, BASE + 1, b"next\n"));
        let told = read(output == OutputOf::Console, &[&wire], true).unwrap();
        let short: Vec<_> = told.iter().map(|(text, at, _, is_cut)| (text.len(), *at, *is_cut)).collect();
        assert_eq!(short, [(LINE_MAX, BASE, true), (4, BASE + 1, false)]);
        let just = messages(output, BASE, &vec![b'x'; LINE_MAX]).concat();
        assert!(!read(output == OutputOf::Console, &[&just], true).unwrap()[0].3, "the most is not too much");
    }
}

#[test]
fn several_lines_in_one_message_are_several_lines() {
    let wire = message(OutputOf::Stdout, BASE, b"one\ntwo\nthree");
    let told = read(false, &[&wire], true).unwrap();
    let texts: Vec<_> = told.iter().map(|(text, ..)| text.as_slice()).collect();
    assert_eq!(texts, [&b"one"[..], b"two", b"three"]);
}

#[test]
fn nonsense_is_refused_with_what_it_is() {
    let framed = |bytes: &[u8]| read(false, &[bytes], false).unwrap_err().0;
    assert!(framed(b"HTTP/1.1").contains("not the head"));
    assert!(framed(&[1, 0, 0, 1, 0, 0, 0, 9]).contains("not the head"));
    assert!(framed(&[1, 0, 0, 0, 0xff, 0, 0, 0]).contains("not the head"));
    assert!(framed(&[1, 0, 0, 0, 0, 0, 0, 3, b'a', b'b', b'c']).contains("(3 bytes)"));
    assert!(framed(&[1, 0, 0, 0, 0, 0, 0, 3, b'a', b' ', b'c']).contains("(1 bytes)"));
    let error = b"Error grabbing logs: invalid character\n";
    let wire = [&[3, 0, 0, 0, 0, 0, 0, u8::try_from(error.len()).unwrap()], &error[..]].concat();
    assert_eq!(framed(&wire), "the engine says: Error grabbing logs: invalid character");
    assert!(read(true, &[b"Error grabbing logs"], false).unwrap_err().0.contains("(5 bytes)"));
    assert!(read(true, &[b"\n"], false).is_err());
}

#[test]
fn an_end_inside_a_message_is_told() {
    let wire = message(OutputOf::Stdout, BASE, b"hello\n");
    for end in 1..wire.len() {
        assert!(read(false, &[&wire[..end]], true).is_err(), "{end}");
    }
    let wire = message(OutputOf::Console, BASE, b"");
    for end in 1..wire.len() {
        assert!(read(true, &[&wire[..end]], true).is_err(), "{end}");
    }
}

fn a_line() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), Just(b'\r'), Just(b' '), Just(0)];
    let short = prop::collection::vec(byte, 0..60);
    let long = (PART_LEN - 2..3 * PART_LEN, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]);
    prop_oneof![9 => short, 1 => long].prop_map(|line| line.into_iter().filter(|byte| *byte != b'\n').collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_cut_gives_the_same_lines(
        lines in prop::collection::vec((a_line(), prop::bool::ANY, 0_i64..3), 1..12),
        has_terminal in prop::bool::ANY,
        steps in prop::collection::vec(prop_oneof![1_usize..12, 1000_usize..40_000], 1..20),
    ) {
        let mut at_ns = BASE;
        let (mut wire, mut expected) = (Vec::new(), Vec::new());
        for (line, is_error, step) in lines {
            at_ns += step + i64::from(line.len() > 1000);
            let output = match (has_terminal, is_error) {
                (true, _) => OutputOf::Console,
                (false, true) => OutputOf::Stderr,
                (false, false) => OutputOf::Stdout,
            };
            wire.extend(messages(output, at_ns, &line).concat());
            let bare = line.strip_suffix(b"\r").unwrap_or(&line).to_vec();
            expected.push((bare, at_ns, output, false));
        }
        prop_assert_eq!(&read(has_terminal, &[&wire], true).unwrap(), &expected);
        prop_assert_eq!(&read(has_terminal, &cut(&wire, &steps), true).unwrap(), &expected);
    }

    #[test]
    fn no_input_makes_it_panic_and_every_cut_ends_alike(
        noise in prop::collection::vec(prop_oneof![
            3 => prop::collection::vec(any::<u8>(), 0..40),
            2 => Just(message(OutputOf::Stdout, BASE, b"fine\n")),
            2 => Just(message(OutputOf::Console, BASE, b"fine\n")),
            1 => Just(vec![2, 0, 0, 0, 0, 0, 0, 40]),
        ], 0..12),
        has_terminal in prop::bool::ANY,
        steps in prop::collection::vec(1_usize..30, 1..10),
    ) {
        let wire = noise.concat();
        prop_assert_eq!(read(has_terminal, &cut(&wire, &steps), true), read(has_terminal, &[&wire], true));
    }
}
