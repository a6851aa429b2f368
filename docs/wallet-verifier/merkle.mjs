// RFC 6962 trees and RFC 9162 proofs; every function takes `sha256(bytes) -> 32 bytes` first.
import { equal, join, Malformed } from "./bytes.mjs";

export function leafHash(sha256, data) {
  return sha256(join(Uint8Array.of(0), data));
}

function node(sha256, left, right) {
  return sha256(join(Uint8Array.of(1), left, right));
}

// The root over leaf hashes: RFC 6962 section 2.1.
export function rootOf(sha256, leaves) {
  if (leaves.length === 0) return sha256(new Uint8Array());
  if (leaves.length === 1) return leaves[0];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return node(sha256, rootOf(sha256, leaves.slice(0, split)), rootOf(sha256, leaves.slice(split)));
}

// The root that an inclusion proof leads to: RFC 9162 section 2.1.3.2. Indices stay below 2^53: no bit operators.
export function rootFromPath(sha256, leaf, index, size, path) {
  if (index < 0 || index >= size) throw new Malformed("no such leaf");
  let at = index, last = size - 1, root = leaf;
  for (const hash of path) {
    if (last === 0) throw new Malformed("the path is too long");
    if (at % 2 === 1 || at === last) {
      root = node(sha256, hash, root);
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)];
    } else {
      root = node(sha256, root, hash);
    }
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  if (last !== 0) throw new Malformed("the path is too short");
  return root;
}

// Whether the proof leads from `oldRoot` of `oldSize` leaves to `newRoot` of `newSize`: RFC 9162 section 2.1.4.2.
export function isConsistent(sha256, oldSize, oldRoot, newSize, newRoot, proof) {
  if (oldSize === newSize) return proof.length === 0 && equal(oldRoot, newRoot);
  if (oldSize === 0 || oldSize > newSize || proof.length === 0) return false;
  let isPower = oldSize;
  while (isPower % 2 === 0) isPower /= 2;
  const path = isPower === 1 ? [oldRoot, ...proof] : proof;
  let at = oldSize - 1, last = newSize - 1;
  while (at % 2 === 1) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  let older = path[0], newer = path[0];
  for (const hash of path.slice(1)) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      older = node(sha256, hash, older);
      newer = node(sha256, hash, newer);
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)];
    } else {
      newer = node(sha256, newer, hash);
    }
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 && equal(older, oldRoot) && equal(newer, newRoot);
}
