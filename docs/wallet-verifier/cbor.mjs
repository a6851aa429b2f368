// Deterministic CBOR (RFC 8949 section 4.2.1), as far as the gateway uses it: unsigned integers below 2^53, byte
// strings, texts, arrays and null. Whatever is not the one encoding of its value is refused.
import { equal, fromUtf8, join, Malformed, utf8 } from "./bytes.mjs";

const DEPTH = 8;

export function encode(value) {
  if (value === null) return Uint8Array.of(0xf6);
  if (typeof value === "number") return head(0, value);
  if (typeof value === "string") return join(head(3, utf8(value).length), utf8(value));
  if (value instanceof Uint8Array) return join(head(2, value.length), value);
  return join(head(4, value.length), ...value.map(encode));
}

export function decode(bytes) {
  const [value, end] = read(bytes, 0, 0);
  if (end !== bytes.length) throw new Malformed("bytes after the value");
  if (!equal(encode(value), bytes)) throw new Malformed("not the shortest encoding");
  return value;
}

// An array of this many elements, or of any number.
export function array(value, length) {
  if (!Array.isArray(value) || (length !== undefined && value.length !== length)) throw new Malformed("an array expected");
  return value;
}

export function octets(value, length) {
  if (!(value instanceof Uint8Array) || (length !== undefined && value.length !== length)) throw new Malformed("bytes expected");
  return value;
}

export function integer(value) {
  if (!Number.isSafeInteger(value)) throw new Malformed("an integer expected");
  return value;
}

export function text(value) {
  if (typeof value !== "string") throw new Malformed("a text expected");
  return value;
}

function head(major, size) {
  if (!Number.isSafeInteger(size) || size < 0) throw new Malformed("an integer in 0..2^53-1 expected");
  if (size < 24) return Uint8Array.of((major << 5) | size);
  const width = size < 2 ** 8 ? 1 : size < 2 ** 16 ? 2 : size < 2 ** 32 ? 4 : 8;
  const bytes = new Uint8Array(1 + width);
  bytes[0] = (major << 5) | (24 + Math.log2(width));
  for (let at = width, rest = size; at > 0; at--, rest = Math.floor(rest / 256)) bytes[at] = rest % 256;
  return bytes;
}

function read(bytes, at, depth) {
  if (depth > DEPTH) throw new Malformed("nested too deep");
  if (bytes[at] === 0xf6) return [null, at + 1];
  const [major, size, start] = readHead(bytes, at);
  if (major === 0) return [size, start];
  if (major === 4) return readArray(bytes, size, start, depth);
  if (major !== 2 && major !== 3) throw new Malformed(`CBOR of major type ${major}`);
  if (size > bytes.length - start) throw new Malformed("the bytes end early");
  const content = bytes.slice(start, start + size);
  return [major === 2 ? content : fromUtf8(content), start + size];
}

function readHead(bytes, at) {
  if (at >= bytes.length) throw new Malformed("the bytes end early");
  const major = bytes[at] >> 5, low = bytes[at] & 31;
  if (low < 24) return [major, low, at + 1];
  if (low > 27) throw new Malformed("an indefinite or reserved length");
  const width = 2 ** (low - 24);
  if (at + 1 + width > bytes.length) throw new Malformed("the bytes end early");
  const size = bytes.slice(at + 1, at + 1 + width).reduce((sum, byte) => sum * 256 + byte, 0);
  return [major, integer(size), at + 1 + width];
}

function readArray(bytes, size, start, depth) {
  const items = [];
  let at = start;
  for (let n = 0; n < size; n++) {
    const [item, next] = read(bytes, at, depth + 1);
    items.push(item);
    at = next;
  }
  return [items, at];
}
