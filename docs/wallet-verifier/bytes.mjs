// Bytes: joining, comparing, hexadecimal, base64 (RFC 4648, canonical only).

export class Malformed extends Error {}

export function join(...parts) {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

// Below 0, 0 or above 0, as memcmp(3).
export function compare(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

export function equal(a, b) {
  return compare(a, b) === 0;
}

export function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function fromHex(text) {
  if (!/^([0-9a-f]{2})*$/.test(text)) throw new Malformed("hexadecimal expected");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export function toBase64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

export function fromBase64(text) {
  let decoded;
  try {
    decoded = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    throw new Malformed("base64 expected");
  }
  if (toBase64(decoded) !== text) throw new Malformed("base64 that is not canonical");
  return decoded;
}

export function utf8(text) {
  return new TextEncoder().encode(text);
}

export function fromUtf8(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Malformed("UTF-8 expected");
  }
}
