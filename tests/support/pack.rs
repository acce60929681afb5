//! Git's wire by hand: pkt-lines, the side band, and packs that no git would write.

use gix::hash::{Kind, hasher};

/// One packet of git's wire protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// `0000`
    Flush,
    /// `0001`
    Delimiter,
    /// `0002`
    End,
    /// A payload.
    Data(Vec<u8>),
}

/// Kinds of objects as a pack numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    Commit = 1,
    Tree = 2,
    Blob = 3,
    Tag = 4,
}

/// A payload with its length before it.
pub fn pkt(payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    [format!("{:04x}", payload.len() + 4).as_bytes(), payload].concat()
}

/// The packets of a body. What follows a malformed length is one last payload.
pub fn packets(mut body: &[u8]) -> Vec<Packet> {
    let mut found = Vec::new();
    while body.len() >= 4 {
        let length =
            std::str::from_utf8(&body[..4]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let (packet, used) = match length {
            Some(0) => (Packet::Flush, 4),
            Some(1) => (Packet::Delimiter, 4),
            Some(2) => (Packet::End, 4),
            Some(length @ 4..) if length <= body.len() => (Packet::Data(body[4..length].to_vec()), length),
            _ => (Packet::Data(body.to_vec()), body.len()),
        };
        found.push(packet);
        body = &body[used..];
    }
    found
}

/// The packets as a body.
pub fn body_of(packets: &[Packet]) -> Vec<u8> {
    let bytes = |packet: &Packet| match packet {
        Packet::Flush => b"0000".to_vec(),
        Packet::Delimiter => b"0001".to_vec(),
        Packet::End => b"0002".to_vec(),
        Packet::Data(payload) => pkt(payload),
    };
    packets.iter().flat_map(bytes).collect()
}

/// A pack cut into packets of band 1.
pub fn sideband(pack: &[u8]) -> Vec<Packet> {
    pack.chunks(65_515).map(|part| Packet::Data([&[1], part].concat())).collect()
}

/// Changes the pack inside the body of an answer to a fetch, v0 or v2; a body without one stays as it is.
pub fn edit_pack(body: &[u8], edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let is_pack = |packet: &Packet| matches!(packet, Packet::Data(payload) if payload.first() == Some(&1));
    let mut all = packets(body);
    let Some(first) = all.iter().position(is_pack) else { return body.to_vec() };
    let mut pack = Vec::new();
    all.retain(|packet| match packet {
        Packet::Data(payload) if is_pack(packet) => {
            pack.extend_from_slice(&payload[1..]);
            false
        }
        _ => true,
    });
    edit(&mut pack);
    all.splice(first..first, sideband(&pack));
    body_of(&all)
}

/// A pack under construction. It says what it is told to, true or not.
pub struct Pack(Vec<u8>);

impl Pack {
    /// Begins a version 2 pack that claims to hold `count` objects.
    pub fn claiming(count: u32) -> Pack {
        Pack([b"PACK".as_slice(), &2u32.to_be_bytes(), &count.to_be_bytes()].concat())
    }

    /// Adds an object.
    pub fn object(self, kind: ObjectKind, content: &[u8]) -> Pack {
        self.object_claiming(kind, content.len() as u64, content)
    }

    /// Adds an object that claims to have `size` bytes.
    pub fn object_claiming(mut self, kind: ObjectKind, size: u64, content: &[u8]) -> Pack {
        self.header(kind as u8, size);
        self.0.extend(zlib(content));
        self
    }

    /// Adds a delta against the object that begins `distance` bytes earlier: before the pack's begin, if it is large.
    pub fn offset_delta(mut self, distance: u64, delta: &[u8]) -> Pack {
        self.header(6, delta.len() as u64);
        let mut digits = vec![(distance & 0x7f) as u8];
        let mut rest = distance >> 7;
        while rest > 0 {
            rest -= 1;
            digits.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        self.0.extend(digits.iter().rev());
        self.0.extend(zlib(delta));
        self
    }

    /// Adds a delta against an object that has to be there already (a thin pack).
    pub fn reference_delta(mut self, base: &str, delta: &[u8]) -> Pack {
        self.header(7, delta.len() as u64);
        self.0.extend(super::objects::bytes_of_hex(base));
        self.0.extend(zlib(delta));
        self
    }

    /// Bytes so far: where the next object begins.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The pack with its right checksum.
    pub fn finish(mut self) -> Vec<u8> {
        let sum = checksum(&self.0);
        self.0.extend(sum);
        self.0
    }

    fn header(&mut self, kind: u8, size: u64) {
        let mut byte = (kind << 4) | (size & 0x0f) as u8;
        let mut rest = size >> 4;
        while rest > 0 {
            self.0.push(byte | 0x80);
            byte = (rest & 0x7f) as u8;
            rest >>= 7;
        }
        self.0.push(byte);
    }
}

/// A size as the header of a delta has it.
pub fn delta_size(mut size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while size > 0x7f {
        bytes.push(0x80 | (size & 0x7f) as u8);
        size >>= 7;
    }
    bytes.push(size as u8);
    bytes
}

/// A delta that copies nothing and writes `content`; `base` is the size it claims for its base.
pub fn delta(base: u8, content: &[u8]) -> Vec<u8> {
    assert!(base < 0x80 && (1..0x80).contains(&content.len()), "small ones only");
    [&[base, content.len() as u8, content.len() as u8], content].concat()
}

/// The SHA-1 that ends a pack.
pub fn checksum(bytes: &[u8]) -> Vec<u8> {
    let mut sum = hasher(Kind::Sha1);
    sum.update(bytes);
    sum.try_finalize().expect("no collision attack in a test").as_slice().to_vec()
}

/// A zlib stream that stores its input: enough for a pack, and no library needed.
fn zlib(content: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut parts = content.chunks(0xffff).peekable();
    if content.is_empty() {
        stream.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(part) = parts.next() {
        let length = part.len() as u16;
        stream.push(u8::from(parts.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend_from_slice(part);
    }
    let (mut low, mut high) = (1u32, 0u32);
    for byte in content {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    stream.extend((high << 16 | low).to_be_bytes());
    stream
}
