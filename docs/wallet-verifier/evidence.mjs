// Evidence that verifies alone (docs/protocol/evidence.md).
import { array, decode, integer, octets, text } from "./cbor.mjs";
import { compare, equal, Malformed, toHex, utf8 } from "./bytes.mjs";
import { isConsistent } from "./merkle.mjs";
import { logSigner, openCheckpoint } from "./notes.mjs";

export const KINDS = ["", "DOUBLE_SPEND", "DUPLICATE_NONCE", "DUPLICATE_ID", "KEY_COLLISION", "RECEIPT", "FORK", "EPOCH"];
const MAX_BYTES = 4096;

// The name of what is proven. Throws Malformed where it does not hold.
export function verifyEvidence(primitives, bytes) {
  if (bytes.length > MAX_BYTES) throw new Malformed("longer than evidence may be");
  const [object, which, ...fields] = array(decode(bytes));
  const judge = [, spends, spends, ids, collision, receipt, fork, epoch][which];
  if (object !== 4 || judge === undefined) throw new Malformed("no evidence");
  const found = judge(primitives, fields, which);
  require(found === which, "it is of another kind than it says");
  return KINDS[which];
}

function spends(primitives, fields) {
  const [key, nonce, ...both] = array(fields, 4);
  const [first, second] = both.map((one) => {
    const [id, to, amount, timestamp, signature] = array(one, 5);
    return payment(primitives, octets(key, 32), id, to, amount, nonce, timestamp, signature);
  });
  require(compare(first.identity, second.identity) < 0, "two texts in the order of their identities expected");
  return first.to === second.to ? 2 : 1;
}

function ids(primitives, fields) {
  const [id, ...both] = array(fields, 3);
  const [first, second] = both.map((one) => {
    const [key, to, amount, nonce, timestamp, signature] = array(one, 6);
    return payment(primitives, octets(key, 32), id, to, amount, nonce, timestamp, signature);
  });
  require(compare(first.identity, second.identity) < 0, "two texts in the order of their identities expected");
  return 3;
}

function collision(primitives, fields) {
  const keys = array(fields, 2).map((one) => {
    const [key, statement] = array(one, 2);
    proven(primitives, octets(key, 32), array(statement));
    return key;
  });
  require(compare(keys[0], keys[1]) < 0 && equal(keys[0].slice(0, 8), keys[1].slice(0, 8)), "two keys of one device id expected");
  return 4;
}

// Something that the key has signed: a payment or a snapshot.
function proven(primitives, key, [kind, ...fields]) {
  if (kind === 1) {
    const [id, to, amount, nonce, timestamp, signature] = array(fields, 6);
    payment(primitives, key, id, to, amount, nonce, timestamp, signature);
    return;
  }
  const [root, timestamp, count, signature] = array(fields, 4);
  require(kind === 3, "a payment or a snapshot expected");
  signed(primitives, `${toHex(octets(root, 32))}:${integer(timestamp)}:${integer(count)}`, signature, key);
}

function receipt(primitives, fields) {
  const [sender, paid, receiver, told] = array(fields, 4);
  const [id, amount, nonce, timestamp, signature] = array(paid, 5);
  const to = octets(receiver, 32).slice(0, 8);
  payment(primitives, octets(sender, 32), id, to, amount, nonce, timestamp, signature);
  const [status, at, receiverSigned] = array(told, 3);
  signed(primitives, `${unpacked(id, 16)}:${text(status)}:${integer(at)}`, receiverSigned, receiver);
  return 5;
}

function fork(primitives, fields) {
  const [key, first, second, root, path] = array(fields, 5);
  const [older, newer] = [first, second].map((note) => own(primitives, note, octets(key, 32)));
  require(older.origin === newer.origin && older.size > 0, "two heads of one log expected");
  const hashes = array(path).map((hash) => octets(hash, 32));
  const consistent = isConsistent(primitives.sha256, older.size, octets(root, 32), newer.size, newer.root, hashes);
  require(consistent && !equal(root, older.root), "both heads can be of one log");
  return 6;
}

function epoch(primitives, fields) {
  const [key, before, size, root, cosigned, why] = array(fields, 6);
  for (const note of [before, cosigned]) if (note !== null) own(primitives, note, octets(key, 32));
  integer(size);
  octets(root, 32);
  require(utf8(text(why)).length <= 32, "a reason of at most 32 bytes expected");
  return 7;
}

function own(primitives, note, key) {
  const origin = new TextDecoder().decode(octets(note)).split("\n", 1)[0];
  const checkpoint = openCheckpoint(primitives, note, [logSigner(origin, key)]);
  require(checkpoint.origin === origin, "another log");
  return checkpoint;
}

function payment(primitives, key, id, to, amount, nonce, timestamp, signature) {
  require(isAmount(text(amount)), "an amount as JavaScript prints it expected");
  const receiver = unpacked(to, 8);
  const from = toHex(key.slice(0, 8));
  const said = `${unpacked(id, 16)}:${from}:${receiver}:${amount}:${integer(nonce)}:${integer(timestamp)}`;
  signed(primitives, said, signature, key);
  return { identity: primitives.sha256(utf8(said)), to: receiver };
}

function signed({ verify }, said, signature, key) {
  require(verify(utf8(said), octets(signature, 64), key), "a signature does not verify");
}

// An id that is hexadecimal of `size` bytes travels as these bytes, and only so.
function unpacked(value, size) {
  if (value instanceof Uint8Array) return toHex(octets(value, size));
  require(utf8(text(value)).length <= 64 && !new RegExp(`^[0-9a-f]{${2 * size}}$`).test(value), "an id that is not packed");
  return value;
}

function isAmount(literal) {
  const value = Number(literal);
  return Number.isFinite(value) && value > 0 && String(value) === literal;
}

function require(holds, why) {
  if (!holds) throw new Malformed(why);
}
