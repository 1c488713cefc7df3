//! Splitting an input.

/// The number at the start of an input, and the bytes behind it.
pub(crate) fn parts(input: &[u8]) -> (u16, &[u8]) {
    match input.split_first_chunk() {
        Some((number, bytes)) => (u16::from_le_bytes(*number), bytes),
        None => (0, &[]),
    }
}

/// The input in two.
pub(crate) fn halves(input: &[u8]) -> [&[u8]; 2] {
    let (split, bytes) = parts(input);
    bytes.split_at(usize::from(split).min(bytes.len())).into()
}

/// The input in pieces of many lengths, none of them empty.
pub(crate) fn pieces(input: &[u8]) -> Vec<&[u8]> {
    let (seed, mut rest) = parts(input);
    let mut state = u64::from(seed) | 1 << 32;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Single bytes, short and long pieces, in equal parts.
        let most = [1, 4, 16, 64, 1024][(state >> 33) as usize % 5];
        let length = 1 + (state >> 40) as usize % most;
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}
