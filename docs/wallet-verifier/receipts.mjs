// What a wallet verifies offline: PROMISE and INCLUSION (docs/protocol/messages.md).
import { array, decode, encode, integer, octets, text } from "./cbor.mjs";
import { equal, join, Malformed, utf8 } from "./bytes.mjs";
import { leafHash, rootFromPath, rootOf } from "./merkle.mjs";
import { logSigner, openCheckpoint } from "./notes.mjs";

const PROMISE = 16, INCLUSION = 20;

// H of an object: what is promised. `fields` is the object's array, its kind first.
export function contentOf({ sha256 }, fields) {
  return sha256(join(Uint8Array.of(2), encode(fields)));
}

// The places that the gateway of `key` has promised to our `contents`, in the order in which they were sent.
// `origins` are the known ones, for small frames that carry only 4 bytes of an origin's hash. Throws Malformed.
export function verifyPromise(primitives, message, key, contents, origins = []) {
  const { sha256, verify } = primitives;
  const [kind, said, signature, items] = array(decode(message), 4);
  if (kind !== PROMISE) throw new Malformed("no PROMISE");
  const origin = nameOf(sha256, said, origins);
  const leaves = [], ours = [];
  let waiting = [...contents];
  for (const item of array(items)) {
    const [index, receivedAt, quality, leaf, n] = array(item, 5);
    const place = { origin, index: integer(index), receivedAt: integer(receivedAt), quality: integer(quality) };
    const leafOf = (content) => leafHash(sha256, encode([origin, index, receivedAt, quality, content]));
    if (leaf !== null) {
      leaves.push(octets(leaf, 32));
      ours.push(...contents.filter((content) => equal(leafOf(content), leaf)).map((content) => ({ ...place, content })));
      continue;
    }
    if (integer(n) > waiting.length) throw new Malformed("more is promised than was sent");
    for (const content of waiting.slice(0, n)) {
      leaves.push(leafOf(content));
      ours.push({ ...place, content });
    }
    waiting = waiting.slice(n);
  }
  const signed = leaves.length > 0 && labelled("offgrid/promise", rootOf(sha256, leaves));
  if (!signed || !verify(signed, octets(signature, 64), key)) throw new Malformed("the promise is not signed by this gateway");
  return ours;
}

// Where `content` stands in a tree that the gateway has signed and `coordinator` (parseVkey) has cosigned; without
// a coordinator, in one that the gateway alone has signed. Throws Malformed.
export function verifyInclusion(primitives, message, key, coordinator, content) {
  const { sha256 } = primitives;
  const [kind, origin, index, entry, place, objectPath, leafPath, note] = array(decode(message), 8);
  if (kind !== INCLUSION) throw new Malformed("no INCLUSION");
  const [version, , objectsRoot, count] = array(decode(octets(entry)), 7);
  const hashes = (path) => array(path).map((hash) => octets(hash, 32));
  const found = rootFromPath(sha256, leafHash(sha256, content), integer(place), integer(count), hashes(objectPath));
  if (version !== 1 || !equal(found, octets(objectsRoot, 32))) throw new Malformed("the content is not in this entry");
  const signers = [logSigner(text(origin), key), ...(coordinator ? [coordinator] : [])];
  const checkpoint = openCheckpoint(primitives, octets(note), signers);
  const root = rootFromPath(sha256, leafHash(sha256, entry), integer(index), checkpoint.size, hashes(leafPath));
  if (checkpoint.origin !== origin || !equal(root, checkpoint.root)) throw new Malformed("the entry is not in this tree");
  return { origin, index, size: checkpoint.size, content };
}

export function labelled(label, payload) {
  return join(Uint8Array.of(0), utf8(label), Uint8Array.of(1), payload);
}

function nameOf(sha256, said, origins) {
  if (typeof said === "string") return said;
  const known = origins.find((origin) => equal(sha256(utf8(origin)).slice(0, 4), octets(said, 4)));
  if (known === undefined) throw new Malformed("a hint of an origin that is not known");
  return known;
}
