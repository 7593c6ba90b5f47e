//! A chunk of a text: what may be a word, a name or an address, and which of these it is.

/// What stands between the words of a chunk.
pub(super) const SEPARATORS: [char; 3] = ['.', ':', '%'];

/// What a word, a name or an address is made of; ctdrop writes the arrow itself.
pub(super) fn in_chunk(char: char) -> bool {
    char.is_ascii_alphanumeric() || "_-.:%".contains(char) || !char.is_ascii() && char != '→'
}

/// The words of a chunk.
pub(super) fn words_of(chunk: &str) -> Vec<String> {
    let (_, inner, _) = trimmed(chunk);
    let words = inner.split(SEPARATORS).filter(|word| !word.is_empty());
    words.map(ToOwned::to_owned).collect()
}

/// A chunk without what ends or begins a sentence; `::` belongs to an address.
pub(super) fn trimmed(chunk: &str) -> (&str, &str, &str) {
    let marks = ['.', ':', '-', '%'];
    let (mut begin, mut end) = (0, chunk.len());
    if !chunk.starts_with("::") {
        begin = chunk.len() - chunk.trim_start_matches(marks).len();
    }
    let inner = &chunk[begin..];
    if !inner.ends_with("::") {
        end = begin + inner.trim_end_matches(marks).len();
    }
    (&chunk[..begin], &chunk[begin..end], &chunk[end..])
}

/// Masks a chunk word by word.
pub(super) fn parts(chunk: &str, word: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    for part in chunk.split_inclusive(SEPARATORS) {
        let end = part.trim_end_matches(SEPARATORS);
        if !end.is_empty() {
            out.push_str(&word(end));
        }
        out.push_str(&part[end.len()..]);
    }
    out
}

/// The letter of an option.
pub(super) fn is_letter(word: &str) -> bool {
    word.len() == 1 && word.chars().all(|char| char.is_ascii_alphabetic())
}

pub(super) fn is_number(word: &str) -> bool {
    word.chars().all(|char| char.is_ascii_digit())
}

/// `13:40`, `13:40:34`
pub(super) fn is_time_of_day(chunk: &str) -> bool {
    let parts: Vec<&str> = chunk.split(':').collect();
    (2..=3).contains(&parts.len()) && parts.iter().all(|part| part.len() == 2 && is_number(part))
}

/// Whether it is a network whose address is cut short: `10.9.8/24`, `10/8`.
pub(super) fn is_network(chunk: &str, after: &str) -> bool {
    let mut after = after.chars();
    after.next() == Some('/')
        && after.next().is_some_and(|char| char.is_ascii_digit())
        && chunk
            .split('.')
            .all(|part| !part.is_empty() && is_number(part))
}

/// Whether it is an address in a form that is not read here: with a port, with a zone,
/// reversed as in names of the DNS, cut short.
pub(super) fn looks_like_address(chunk: &str) -> bool {
    let colons = chunk.matches(':').count();
    let hex = |char: char| char.is_ascii_hexdigit();
    let with_colons = chunk.split('%').next().is_some_and(|address| {
        address
            .chars()
            .all(|char| hex(char) || char == ':' || char == '.')
    });
    if colons >= 2 && with_colons {
        return true;
    }
    // A hardware address as routers write it.
    let groups: Vec<&str> = chunk.split('.').collect();
    if groups.len() == 3 && groups.iter().all(|it| it.len() == 4 && it.chars().all(hex)) {
        return true;
    }
    let numbers: Vec<&str> = chunk.split(['.', '-', '_']).collect();
    if numbers.len() >= 4 && numbers.iter().all(|it| !it.is_empty() && is_number(it)) {
        return true;
    }
    let mut run = 0;
    for part in chunk.split(['.', ':']) {
        let is_part = !part.is_empty()
            && (part.len() <= 4 && is_number(part)
                || part.len() == 1 && part.chars().all(hex)
                || part.starts_with("0x") && part.chars().skip(2).all(hex));
        run = if is_part { run + 1 } else { 0 };
        if run >= 4 {
            return true;
        }
    }
    false
}
