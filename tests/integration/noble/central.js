// A Bluetooth central of another stack (noble, over an HCI UART): finds the gateway, hands over, prints what it saw.
//   node central.js PORT NAME   with noble to be found by NODE_PATH
"use strict";
const crypto = require("crypto");
const { withBindings } = require("@stoprocent/noble");

const [port, name] = process.argv.slice(2);
const noble = withBindings("hci", { hciDriver: "uart", bindParams: { uart: { port, baudRate: 1000000 } } });

function pieces(message, xid, room) {
  if (message.length + 2 <= room) return [Buffer.concat([Buffer.from([0x15, xid]), message])];
  const head = Buffer.alloc(5);
  head.writeUInt8(0x11, 0);
  head.writeUInt8(xid, 1);
  head.writeUIntBE(message.length, 2, 3);
  const out = [Buffer.concat([head, crypto.createHash("sha256").update(message).digest().subarray(0, 12)])];
  for (let at = 0; at < message.length; at += room - 5) {
    const data = Buffer.alloc(5);
    data.writeUInt8(0x12, 0);
    data.writeUInt8(xid, 1);
    data.writeUIntBE(at, 2, 3);
    out.push(Buffer.concat([data, message.subarray(at, at + room - 5)]));
  }
  return out;
}

function answerTo(xid, notify) {
  return new Promise((resolve, reject) => {
    const heard = (value) => {
      if (value[0] === 0x14 && value[2] !== 0) reject(new Error("refused with status " + value[2]));
      if (value[0] !== 0x15 || value[1] !== xid) return;
      notify.removeListener("data", heard);
      resolve(value.subarray(2).toString("hex"));
    };
    notify.on("data", heard);
  });
}

async function find() {
  const discovered = new Promise((resolve) => {
    noble.on("discover", (peripheral) => {
      if (peripheral.advertisement.localName === name) resolve(peripheral);
    });
  });
  await noble.startScanningAsync(["fff0"], true);
  const found = await discovered;
  await noble.stopScanningAsync();
  return found;
}

async function main() {
  await noble.waitForPoweredOnAsync();
  const peripheral = await find();
  const advertised = peripheral.advertisement.serviceUuids;
  await peripheral.connectAsync();
  const short = await peripheral.discoverSomeServicesAndCharacteristicsAsync(["fff0"], []);
  const by = Object.fromEntries(short.characteristics.map((each) => [each.uuid, each]));
  await by.fff2.subscribeAsync();
  const room = Math.min(peripheral.mtu - 3, 512);
  const answers = [];
  let xid = 0;
  for (const withoutResponse of [true, false]) {
    for (const size of [100, 5000]) {
      xid += 1;
      const answer = answerTo(xid, by.fff2);
      for (const piece of pieces(Buffer.alloc(size, xid), xid, room)) await by.fff1.writeAsync(piece, withoutResponse);
      answers.push(await answer);
    }
  }
  const id = (await by.fff4.readAsync()).toString();
  const time = (await by.fff7.readAsync()).length;
  await peripheral.disconnectAsync();
  const services = short.services.length;
  process.stdout.write(JSON.stringify({ advertised, services, mtu: peripheral.mtu, answers, id, time }) + "\n");
  process.exit(0);
}

main().catch((error) => {
  process.stderr.write(String(error && error.stack) + "\n");
  process.exit(1);
});
