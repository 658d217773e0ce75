// A trainer in another process, without any package of ours: logistic regression by plain gradient descent. What it
// does wrong on purpose is named by its first argument; to the file of the second it writes each epoch that it begins.
// The protocol is that of edge-agent/TRAINER.md.
import { appendFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { setImmediate, setInterval, setTimeout } from 'node:timers';

const [misdeed = '', notes] = process.argv.slice(2);
const path = process.env.TRIBUTARY_TRAINER_SOCKET;
process.stdin.on('end', () => process.exit(0)).resume();

const frame = (kind, payload = Buffer.alloc(0)) => {
  const head = Buffer.alloc(5);
  head.writeUInt32LE(payload.length, 0);
  head[4] = kind;
  return Buffer.concat([head, payload]);
};
const floats = (parts) => {
  const bytes = Buffer.concat(parts);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
};
const bytesOf = (values) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
const json = (value) => Buffer.from(JSON.stringify(value));
const sigmoid = (z) => 1 / (1 + Math.exp(-z));

const scoreOf = (weights, rows, row, width) => {
  let z = weights[width];
  for (let i = 0; i < width; i += 1) z += weights[i] * rows[row * (width + 1) + i];
  return sigmoid(z);
};

async function train(socket, task, parts, stopped) {
  const width = task.shape[0];
  const base = floats(parts[2]);
  const rows = floats(parts[4]);
  const test = floats(parts[5]);
  const scores = Float32Array.from({ length: task.testRows }, (_, row) => scoreOf(base, test, row, width));
  const weights = Float32Array.from(base);
  let loss = 0;
  let first = 0;
  if (parts[3].length > 0) {
    const kept = floats(parts[3]);
    first = kept[0];
    weights.set(kept.subarray(1));
  }
  const { epochs, optimizer } = task.spec.training;
  for (let epoch = first; epoch < epochs && task.kind === 'Train'; epoch += 1) {
    if (stopped()) return socket.end(frame(22, json({ code: 'JOB_CANCELLED' })));
    if (notes !== undefined) appendFileSync(notes, `${process.pid} ${epoch}\n`);
    const gradient = new Float64Array(weights.length);
    loss = 0;
    for (let row = 0; row < task.trainRows; row += 1) {
      const label = rows[row * (width + 1) + width];
      const p = scoreOf(weights, rows, row, width);
      loss -= Math.log(label === 1 ? p : 1 - p) / task.trainRows;
      for (let i = 0; i <= width; i += 1)
        gradient[i] += ((p - label) * (i === width ? 1 : rows[row * (width + 1) + i])) / task.trainRows;
    }
    for (let i = 0; i < weights.length; i += 1) weights[i] -= optimizer.learningRate * gradient[i];
    socket.write(frame(16, Buffer.of(Math.floor((100 * (epoch + 1)) / epochs))));
    socket.write(Buffer.concat([frame(17, bytesOf(Float32Array.of(epoch + 1, ...weights))), frame(18)]));
    if (misdeed === 'crash' && epoch === 1) process.exit(3);
    if (misdeed === 'slow') await new Promise((resolve) => setTimeout(resolve, 100));
    else await new Promise((resolve) => setImmediate(resolve));
  }
  if (task.kind === 'Train') socket.write(frame(19, bytesOf(weights.map((value, i) => value - base[i]))));
  socket.write(frame(20, bytesOf(scores)));
  socket.write(frame(21, json({ loss, examples: task.kind === 'Train' ? task.trainRows : 0 })));
}

const MISDEEDS = {
  garbage: (socket) => socket.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\nName: Erika Mustermann')),
  unknownFrame: (socket) => socket.write(frame(99)),
  oversizeFrame: (socket) => socket.write(Buffer.of(0xff, 0xff, 0xff, 0x7f, 19)),
  oversizeDelta: (socket) => {
    for (let i = 0; i < 100; i += 1) socket.write(frame(19, Buffer.alloc(1024)));
  },
  oversizeCheckpoint: (socket) => {
    for (let i = 0; i < 10; i += 1) socket.write(frame(17, Buffer.alloc(1024 * 1024)));
  },
  shortDelta: (socket) => socket.write(frame(21, json({ loss: 0, examples: 1 }))),
  notFinite: (socket, task) => {
    socket.write(frame(19, bytesOf(new Float32Array(task.layout.length).fill(NaN))));
    socket.write(frame(20, bytesOf(new Float32Array(task.testRows))));
    socket.write(frame(21, json({ loss: 0, examples: 1 })));
  },
  noProbabilities: (socket, task) => {
    socket.write(frame(19, bytesOf(new Float32Array(task.layout.length))));
    socket.write(frame(20, bytesOf(new Float32Array(task.testRows).fill(7))));
    socket.write(frame(21, json({ loss: 0, examples: 1 })));
  },
  reports: (socket) =>
    socket.write(frame(22, json({ code: 'TRAINING_FAILED', text: 'row 17: Erika Mustermann' }))),
  hang: () => undefined,
};

function serve(socket) {
  const parts = { 2: [], 3: [], 4: [], 5: [] };
  let held = Buffer.alloc(0);
  let task;
  let stop = false;
  socket.on('error', () => undefined);
  socket.on('data', (bytes) => {
    held = Buffer.concat([held, bytes]);
    while (held.length >= 5 && held.length >= 5 + held.readUInt32LE(0)) {
      const length = held.readUInt32LE(0);
      const kind = held[4];
      const payload = Buffer.from(held.subarray(5, 5 + length));
      held = held.subarray(5 + length);
      if (kind === 1) task = JSON.parse(payload.toString());
      else if (kind === 7) stop = misdeed !== 'disobeys';
      else if (kind === 6) {
        if (task.protocol !== 1) socket.end(frame(22, json({ code: 'TRAINING_FAILED' })));
        else if (misdeed in MISDEEDS) MISDEEDS[misdeed](socket, task);
        else if (misdeed === 'disobeys') setInterval(() => socket.write(frame(16, Buffer.of(1))), 50);
        else train(socket, task, parts, () => stop);
      } else parts[kind].push(payload);
    }
  });
}

rmSync(path, { force: true });
createServer(serve).listen(path);
