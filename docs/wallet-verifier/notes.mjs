// C2SP signed notes, tlog-checkpoints and cosignature/v1.
import { equal, fromBase64, fromUtf8, join, Malformed, toHex, utf8 } from "./bytes.mjs";

const LOG = 1, COSIGNER = 4;
const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; // SHA-256 of nothing
const LINE = /^\u2014 ([^\s+]+) (\S+)$/;
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;

// A vkey, `name+hash+base64(type, key)`, as the coordinator publishes its own.
export function parseVkey({ sha256 }, vkey) {
  const found = /^([^\s+]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey);
  if (!found) throw new Malformed("a vkey expected");
  const material = fromBase64(found[3]);
  const signer = { name: found[1], type: material[0], key: material.slice(1) };
  if (signer.key.length !== 32 || toHex(hint(sha256, signer)) !== found[2]) throw new Malformed("the vkey's hash is not its key's");
  return signer;
}

export function logSigner(origin, key) {
  return { name: origin, type: LOG, key };
}

// What a note states, once every one of `signers` has signed it.
export function openCheckpoint(primitives, note, signers) {
  const whole = fromUtf8(note);
  const split = whole.lastIndexOf("\n\n");
  if (split < 0 || !whole.endsWith("\n") || CONTROL.test(whole)) throw new Malformed("a note expected");
  const body = whole.slice(0, split + 1);
  const lines = whole.slice(split + 2, -1).split("\n").map(parseLine);
  for (const signer of signers) {
    const own = lines.filter(({ name, material }) =>
      name === signer.name && equal(material.slice(0, 4), hint(primitives.sha256, signer)));
    if (own.length === 0) throw new Malformed(`not signed by ${signer.name}`);
    if (!own.every(({ material }) => holds(primitives, signer, body, material.slice(4)))) throw new Malformed(`a wrong signature of ${signer.name}`);
  }
  return parseCheckpoint(body);
}

function parseLine(line) {
  const found = LINE.exec(line);
  if (!found) throw new Malformed("a signature line expected");
  return { name: found[1], material: fromBase64(found[2]) };
}

function parseCheckpoint(body) {
  const [origin, size, root, ...rest] = body.slice(0, -1).split("\n");
  if (!origin || !/^(0|[1-9][0-9]{0,15})$/.test(size ?? "") || !Number.isSafeInteger(Number(size))) throw new Malformed("a checkpoint expected");
  const hash = fromBase64(root ?? "");
  if (hash.length !== 32 || rest.some((line) => !line)) throw new Malformed("a checkpoint expected");
  if (size === "0" && toHex(hash) !== EMPTY) throw new Malformed("no root of an empty tree");
  return { origin, size: Number(size), root: hash };
}

function hint(sha256, { name, type, key }) {
  return sha256(join(utf8(`${name}\n`), Uint8Array.of(type), key)).slice(0, 4);
}

function holds({ verify }, signer, body, signature) {
  if (signer.type === LOG) return signature.length === 64 && verify(utf8(body), signature, signer.key);
  if (signer.type !== COSIGNER || signature.length !== 72) return false;
  const seconds = signature.slice(0, 8).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  return verify(utf8(`cosignature/v1\ntime ${seconds}\n${body}`), signature.slice(8), signer.key);
}
