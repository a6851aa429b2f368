// Runs the wallets' verifier over cases from standard input, a JSON object a line, and answers a line each:
// {"ok": what it found} or {"refused": why}. Anything else that is thrown ends it: a verifier must not stumble.
import readline from "node:readline";
import { fromHex, Malformed, toHex } from "../../docs/wallet-verifier/bytes.mjs";
import { verifyEvidence } from "../../docs/wallet-verifier/evidence.mjs";
import { isConsistent, rootFromPath } from "../../docs/wallet-verifier/merkle.mjs";
import { openCheckpoint, parseVkey } from "../../docs/wallet-verifier/notes.mjs";
import { contentOf, verifyInclusion, verifyPromise } from "../../docs/wallet-verifier/receipts.mjs";
import { decode } from "../../docs/wallet-verifier/cbor.mjs";
import { primitives } from "../../docs/wallet-verifier/verify.mjs";

const { sha256 } = primitives;
const hexes = (list) => list.map(fromHex);

const CALLS = {
  evidence: ({ bytes }) => verifyEvidence(primitives, fromHex(bytes)),
  content: ({ bytes }) => toHex(contentOf(primitives, decode(fromHex(bytes)))),
  promise: ({ bytes, key, contents, origins }) =>
    verifyPromise(primitives, fromHex(bytes), fromHex(key), hexes(contents), origins).map(({ index }) => index),
  inclusion: ({ bytes, key, coordinator, content }) =>
    verifyInclusion(primitives, fromHex(bytes), fromHex(key), parseVkey(primitives, coordinator), fromHex(content)).size,
  note: ({ bytes, vkeys, origin }) => {
    const found = openCheckpoint(primitives, fromHex(bytes), vkeys.map((one) => parseVkey(primitives, one)));
    if (found.origin !== origin) throw new Malformed("another origin");
    return found.size;
  },
  path: ({ leaf, index, size, path, root }) => {
    const found = toHex(rootFromPath(sha256, fromHex(leaf), index, size, hexes(path)));
    if (found !== root) throw new Malformed("another root");
    return found;
  },
  consistency: ({ size1, root1, size2, root2, path }) => {
    if (!isConsistent(sha256, size1, fromHex(root1), size2, fromHex(root2), hexes(path))) throw new Malformed("not consistent");
    return true;
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { call, ...values } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ ok: CALLS[call](values) }));
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    console.log(JSON.stringify({ refused: error.message }));
  }
}
