import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { rPeakFinder } from '@tributary/edge-agent/internal/domain/streams/triggers/r-peak.js';

import { unpack } from '../../support/tar-archive.js';

const DATA = process.env['TRIBUTARY_ACCEPTANCE_DATA'] ?? '';
const RECORDS = ['101', '106', '108', '109', '112', '114', '115', '116'];
const PERIOD_MS = 1_000 / 360;
/** A detection within 150 ms of a beat is that beat (ANSI/AAMI EC57). */
const MATCH_MS = 150;

/** The first signal of format 212: three bytes hold a sample of each of two signals, 12 bits in two's complement. */
function firstSignal(bytes: Uint8Array): readonly number[] {
  const values: number[] = [];
  for (let at = 0; at + 2 < bytes.length; at += 3) {
    const raw = (bytes[at] ?? 0) | (((bytes[at + 1] ?? 0) & 15) << 8);
    values.push(((raw > 2_047 ? raw - 4_096 : raw) - 1_024) / 200);
  }
  return values;
}

/** Times of beats of a WFDB annotation file (annot(5) of the WFDB applications guide). */
function beatTimes(bytes: Uint8Array): readonly number[] {
  const word = (at: number): number => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  const times: number[] = [];
  let samples = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) {
    const [code, value] = [word(at) >> 10, word(at) & 1_023];
    if (code === 0 && value === 0) break;
    if (code === 59) {
      samples += (word(at + 2) << 16) | word(at + 4);
      at += 4;
    } else if (code === 63) at += value + (value & 1);
    else if (code < 60) {
      samples += value;
      // Codes 1 to 13 are beats, 34 and 38 the rarer ones.
      if (code <= 13 || code === 34 || code === 38) times.push(samples * PERIOD_MS);
    }
  }
  return times;
}

function detections(values: readonly number[]): readonly number[] {
  const finder = rPeakFinder();
  let state = finder.initial;
  const times: number[] = [];
  for (let at = 0; at < values.length; at += 36) {
    const samples = values
      .slice(at, at + 36)
      .map((value, index) => ({ timeMs: (at + index) * PERIOD_MS, periodMs: PERIOD_MS, value }));
    const found = finder.find(state, samples);
    state = found.state;
    times.push(...found.hits.map(({ timeMs }) => timeMs));
  }
  return times;
}

/** Beats that were found, and how far from them, each detection counting once. */
function matches(beats: readonly number[], found: readonly number[]): readonly number[] {
  const offsets: number[] = [];
  let next = 0;
  for (const beat of beats) {
    while ((found[next] ?? Infinity) < beat - MATCH_MS) next++;
    const time = found[next];
    if (time === undefined || time > beat + MATCH_MS) continue;
    offsets.push(time - beat);
    next++;
  }
  return offsets;
}

describe(`R waves of eight annotated records${DATA === '' ? ': skipped, TRIBUTARY_ACCEPTANCE_DATA is not set' : ''}`, function () {
  this.timeout(60_000);
  before(function () {
    if (DATA === '') this.skip();
  });

  it('are found: at least 99 of 100 beats, and at least 99 of 100 detections are beats', async () => {
    const members = await unpack(gunzipSync(readFileSync(join(DATA, 'mitdb_8_records.tar.gz'))));
    const files = new Map(members.map(({ name, content }) => [name, content]));
    let [beatCount, foundCount] = [0, 0];
    const offsets: number[] = [];
    for (const record of RECORDS) {
      const [signal, annotation] = [files.get(`${record}.dat`), files.get(`${record}.atr`)];
      assert.ok(signal && annotation, record);
      const [beats, found] = [beatTimes(annotation), detections(firstSignal(signal))];
      beatCount += beats.length;
      foundCount += found.length;
      offsets.push(...matches(beats, found));
    }
    assert.ok(beatCount > 16_000, String(beatCount));
    assert.ok(offsets.length / beatCount > 0.99, `sensitivity ${String(offsets.length / beatCount)}`);
    assert.ok(offsets.length / foundCount > 0.99, `precision ${String(offsets.length / foundCount)}`);
    const near = offsets.filter((ms) => Math.abs(ms) <= 20).length;
    assert.ok(near / offsets.length > 0.85, `within 20 ms ${String(near / offsets.length)}`);
  });
});
