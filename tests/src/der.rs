//! DER as a tree that can be changed anywhere and written again, with every length around the change put right.

/// One element: a tag and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The identifier octet.
    pub tag: u8,
    /// What is in it.
    pub content: Content,
}

/// The content of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Other elements: also those within an OCTET STRING, which is where X.509 has its extensions.
    Elements(Vec<Element>),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Element {
    /// Reads one element that fills `der`. Tags of one byte only, which X.509 gets along with.
    #[must_use]
    pub fn parse(der: &[u8]) -> Option<Self> {
        match &elements(der)?[..] {
            [one] => Some(one.clone()),
            _ => None,
        }
    }

    /// Writes it again.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let content = match &self.content {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Elements(elements) => elements.iter().flat_map(Self::encode).collect(),
        };
        let mut der = vec![self.tag];
        match u8::try_from(content.len()) {
            Ok(short @ 0..=0x7f) => der.push(short),
            _ => {
                let length = content.len().to_be_bytes();
                let first = length.iter().position(|&byte| byte != 0).unwrap_or(0);
                der.push(0x80 | u8::try_from(length.len() - first).expect("at most 8 bytes"));
                der.extend(&length[first..]);
            }
        }
        der.extend(content);
        der
    }

    /// How many elements there are, this one among them.
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.content {
            Content::Bytes(_) => 1,
            Content::Elements(elements) => 1 + elements.iter().map(Self::count).sum::<usize>(),
        }
    }

    /// The element at this place, depth first; the whole is at 0.
    #[must_use]
    pub fn at(&mut self, place: usize) -> Option<&mut Self> {
        let Some(mut left) = place.checked_sub(1) else { return Some(self) };
        let Content::Elements(elements) = &mut self.content else { return None };
        for element in elements {
            let count = element.count();
            if left < count {
                return element.at(left);
            }
            left -= count;
        }
        None
    }
}

fn elements(mut der: &[u8]) -> Option<Vec<Element>> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (&tag, rest) = der.split_first()?;
        let (&length, rest) = rest.split_first()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
                (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let (constructed, octet_string) = (tag & 0x20 != 0, tag == 0x04);
        let inner = if constructed || octet_string { elements(content) } else { None };
        let content = match inner {
            Some(inner) if constructed || !inner.is_empty() => Content::Elements(inner),
            _ => Content::Bytes(content.to_vec()),
        };
        found.push(Element { tag, content });
        der = rest;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_written_as_it_was_read() {
        let der = crate::judge::certificate();
        let element = Element::parse(&der).unwrap();
        assert!(element.count() > 50);
        assert_eq!(element.encode(), der);
    }

    #[test]
    fn lengths_around_a_change_are_put_right() {
        let mut element = Element::parse(&[0x30, 0x03, 0x02, 0x01, 0x05]).unwrap();
        element.at(1).unwrap().content = Content::Bytes(vec![7; 200]);
        assert_eq!(element.encode()[..6], [0x30, 0x81, 203, 0x02, 0x81, 200]);
    }
}
