//! The body of an answer, taken out of its HTTP framing piece by piece.
//!
//! It keeps no bytes: a piece of the input is the piece that is given out. It must not read, and must not take an
//! end of the connection for the end of a body that has one of its own.
//!
//! Tests: below.

/// How the end of the body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes are still to come.
    Length(u64),
    /// The connection ends.
    Close,
    /// An empty chunk comes.
    Chunked(Chunk),
    /// It is over.
    Done,
}

/// Where in the chunked form the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer { length: u16 },
    TrailerEnd { length: u16 },
}

/// More digits than a size can have.
const DIGITS_MAX: u8 = 15;
/// Trailers are read and forgotten; a line of them is not for ever.
const TRAILER_MAX: u16 = 8 * 1024;

/// The body is not what its head said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadBody(pub(super) &'static str);

impl Body {
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Size { size: 0, digits: 0 });

    /// The next piece of the body; takes what it has read off the input. `None`: the input is used up, or the
    /// body is over.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BadBody> {
        while !input.is_empty() {
            match self {
                Self::Done => break,
                Self::Close => return Ok(Some(std::mem::take(input))),
                Self::Length(left) => {
                    let piece = take(input, left);
                    if *left == 0 {
                        *self = Self::Done;
                    }
                    return Ok(Some(piece));
                }
                Self::Chunked(Chunk::Data { left }) => {
                    let piece = take(input, left);
                    if *left == 0 {
                        *self = Self::Chunked(Chunk::DataCr);
                    }
                    return Ok(Some(piece));
                }
                Self::Chunked(chunk) => {
                    let (byte, rest) = (input[0], &input[1..]);
                    *input = rest;
                    *self = chunk.after(byte)?.map_or(Self::Done, Self::Chunked);
                }
            }
        }
        Ok(None)
    }

    /// Whether the body is over if the connection ends now.
    pub(super) fn may_end_here(self) -> bool {
        matches!(self, Self::Done | Self::Close | Self::Length(0))
    }
}

fn take<'a>(input: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let (piece, rest) = input.split_at(length);
    *input = rest;
    *left -= length as u64;
    piece
}

impl Chunk {
    /// The state after a byte that is not data; `None` after the last one.
    fn after(self, byte: u8) -> Result<Option<Self>, BadBody> {
        Ok(Some(match (self, byte) {
            (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() && digits < DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                Self::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { size, digits: 1.. }, b'\r') => Self::SizeEnd { size },
            (Self::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => Self::Extension { size },
            (Self::Extension { size }, b'\r') => Self::SizeEnd { size },
            (Self::Extension { size }, byte) if byte != b'\n' => Self::Extension { size },
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Trailer { length: 0 },
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::Trailer { length }, b'\r') => Self::TrailerEnd { length },
            (Self::Trailer { length }, byte) if byte != b'\n' && length < TRAILER_MAX => {
                Self::Trailer { length: length + 1 }
            }
            (Self::TrailerEnd { length: 0 }, b'\n') => return Ok(None),
            (Self::TrailerEnd { .. }, b'\n') => Self::Trailer { length: 0 },
            _ => return Err(BadBody("the answer is not divided into chunks as it should be")),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes out of pieces of input, and whether the body may end then.
    fn read(mut body: Body, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), BadBody> {
        let mut out = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(data) = body.next(&mut input)? {
                out.extend_from_slice(data);
            }
        }
        Ok((out, body.may_end_here()))
    }

    #[test]
    fn an_end_inside_a_chunk_is_no_end() {
        let whole = b"5\r\nhello\r\nA;x=1\r\n0123456789\r\n0\r\nName: value\r\n\r\n";
        assert_eq!(read(Body::CHUNKED, &[whole]), Ok((b"hello0123456789".to_vec(), true)));
        for end in 0..whole.len() {
            assert!(!read(Body::CHUNKED, &[&whole[..end]]).unwrap().1, "{end}");
        }
        assert_eq!(read(Body::Length(3), &[b"ab"]), Ok((b"ab".to_vec(), false)));
        assert_eq!(read(Body::Length(3), &[b"abcd"]), Ok((b"abc".to_vec(), true)));
        assert_eq!(read(Body::Close, &[b"ab"]), Ok((b"ab".to_vec(), true)));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bad in ["x\r\n", "\r\n", "5hello", "5\nhello", "2\r\nabc", "1\r\na\n", "fffffffffffffffff\r\n"] {
            assert!(read(Body::CHUNKED, &[bad.as_bytes()]).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_cut_gives_the_same_and_nothing_panics(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            noise in prop::collection::vec(any::<u8>(), 0..64),
            cuts in prop::collection::vec(1_usize..20, 1..50),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\n");
            let pieces = |wire: &[u8]| {
                let (mut at, mut pieces) = (0, Vec::new());
                for step in cuts.iter().cycle() {
                    if at >= wire.len() { break }
                    let end = (at + step).min(wire.len());
                    pieces.push(wire[at..end].to_vec());
                    at = end;
                }
                pieces
            };
            let cut = pieces(&wire);
            let cut: Vec<&[u8]> = cut.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(read(Body::CHUNKED, &cut), Ok((chunks.concat(), true)));
            let _refused_or_not = read(Body::CHUNKED, &[&noise]).is_err();
        }
    }
}
