#!/usr/bin/env node
// Verifies from the command line; what it stands on is Ed25519 by tweetnacl and SHA-256 by node.
//   node verify.mjs promise FILE --key KEY --content H [--content H …] [--origin ORIGIN …]
//   node verify.mjs inclusion FILE --key KEY --coordinator VKEY --content H
//   node verify.mjs evidence FILE
// FILE is CBOR as it was received (- for standard input); KEY (the gateway's) and H are hexadecimal.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compare, fromHex, Malformed, toHex } from "./bytes.mjs";
import { verifyEvidence } from "./evidence.mjs";
import { parseVkey } from "./notes.mjs";
import { verifyInclusion, verifyPromise } from "./receipts.mjs";

const nacl = createRequire(import.meta.url)("tweetnacl");

// The order of Ed25519's group, little-endian. tweetnacl takes S + L for S, which RFC 8032 section 5.1.7 refuses.
const L = fromHex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");

export const primitives = {
  sha256: (bytes) => new Uint8Array(createHash("sha256").update(bytes).digest()),
  verify: (text, signature, key) =>
    compare(signature.slice(32).reverse(), L.slice().reverse()) < 0 && nacl.sign.detached.verify(text, signature, key),
};

const OPTIONS = {
  key: { type: "string" },
  coordinator: { type: "string" },
  content: { type: "string", multiple: true, default: [] },
  origin: { type: "string", multiple: true, default: [] },
};

export function run(argv) {
  const { values, positionals: [what, file] } = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true });
  const bytes = () => new Uint8Array(readFileSync(file === "-" ? 0 : file));
  const contents = values.content.map(fromHex);
  switch (what) {
    case "promise":
      return verifyPromise(primitives, bytes(), fromHex(values.key), contents, values.origin).map(shown);
    case "inclusion":
      return shown(verifyInclusion(primitives, bytes(), fromHex(values.key), parseVkey(primitives, values.coordinator), contents[0]));
    case "evidence":
      return { proves: verifyEvidence(primitives, bytes()) };
    default:
      throw new Malformed("promise, inclusion or evidence expected");
  }
}

function shown(place) {
  return { ...place, content: toHex(place.content) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(JSON.stringify(run(process.argv.slice(2))));
  } catch (error) {
    console.error(`does not hold: ${error.message}`);
    process.exitCode = 1;
  }
}
