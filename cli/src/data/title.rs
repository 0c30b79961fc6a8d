//! Titles as data sets write them: `Shawshank Redemption, The (1994)`, or with what a crawler left in them.

/// The text with a space for every control character, which the interface does not take.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, " ").trim().to_owned()
}

/// The title in reading order, and the year where one stands at the end.
pub(super) fn read(text: &str) -> (String, Option<i16>) {
    let text = text.trim();
    let (name, year) = match text.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) {
        Some((name, year)) if year.len() == 4 && year.parse::<i16>().is_ok() => {
            (name.trim_end(), year.parse().ok())
        }
        _ => (text, None),
    };
    (article_first(name), year)
}

/// `Usual Suspects, The` becomes `The Usual Suspects`, also before a second title in brackets.
fn article_first(name: &str) -> String {
    let (first, rest) = match name.find(" (") {
        Some(at) => name.split_at(at),
        None => (name, ""),
    };
    match first.rsplit_once(", ") {
        Some((stem, article @ ("The" | "A" | "An"))) => format!("{article} {stem}{rest}"),
        _ => name.to_owned(),
    }
}

/// Midnight (UTC) of a year's first day, RFC 3339; none for years no calendar has.
pub(super) fn first_day(year: i16) -> Option<String> {
    (1000..=9999).contains(&year).then(|| format!("{year}-01-01T00:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(printable("Jaws\u{85}2\t"), "Jaws 2");
    }

    #[test]
    fn titles_are_put_in_reading_order() {
        for (text, title, year) in [
            ("Toy Story (1995)", "Toy Story", Some(1995)),
            ("Shawshank Redemption, The (1994)", "The Shawshank Redemption", Some(1994)),
            ("Amelie (Fabuleux destin, Le) (2001) ", "Amelie (Fabuleux destin, Le)", Some(2001)),
            ("Bug's Life, A (1998)", "A Bug's Life", Some(1998)),
            ("General, The (Le, Die) (1926)", "The General (Le, Die)", Some(1926)),
            ("Moonlight", "Moonlight", None),
            ("Death Note (2006–2007)", "Death Note (2006–2007)", None),
            ("", "", None),
            (")", ")", None),
        ] {
            assert_eq!(read(text), (title.to_owned(), year), "{text}");
        }
    }
}
