import { setTimeout as sleep } from 'node:timers/promises';

import type { Mosquitto } from '../support/mosquitto.js';
import { median, rounded } from './bench-case.js';
import { BenchAgent } from './stream-agent.js';
import { echoFloor } from './stream-floor.js';
import { loadStream, type StreamFigures, type StreamLoad } from './stream-load.js';
import { recordPipeline } from './stream-model.js';
import { decisionIdOf, deviceRecord, sequenceOfResult } from './stream-records.js';

/** What a case runs in. */
export interface StreamSetting {
  readonly broker: Mosquitto;
  readonly protocol: 'V3' | 'V5';
  readonly note: (line: string) => void;
  /** Messages a second of the case `throughput`; measured briefly where it was not run. */
  readonly throughput: () => Promise<number>;
}

/** The line of a case. Where nothing is raced, `floorMessagesPerSecond` is the rate at which records were sent. */
export interface StreamResult extends StreamFigures {
  readonly case: string;
  readonly floorMessagesPerSecond: number;
  readonly ratio: number;
  readonly [figure: string]: number | string | boolean;
}

export type StreamCase = (setting: StreamSetting) => Promise<StreamResult>;

const PAIRS = 3;
const RACE_SECONDS = 8;
const MOST_RACE_MESSAGES = 100_000;
const WARM_UP = 20_000;
const LATENCY_SECONDS = 20;
const SWAPS = 100;
const MOST_SWAP_SECONDS = 300;
const RESTARTS = 20;
const TRAINING_RATE = 200;
const TRAINING_SECONDS = 20;
const QUARTER = 250_000;

type Load = Pick<StreamLoad, 'messages' | 'perSecond' | 'sessionMs' | 'enough' | 'onAnswered'>;

/** Records of all loads together: the same again would be taken for a repetition. */
let taken = 0;

function load({ broker, protocol }: StreamSetting, own: Load): Promise<StreamFigures> {
  const first = taken;
  taken += own.messages;
  return loadStream({
    port: broker.port,
    protocol,
    results: 'bench/out/+',
    record: (sequence) => deviceRecord(first + sequence),
    sequenceOf: (result) => sequenceOfResult(result) - first,
    identityOf: decisionIdOf,
    ...own,
  });
}

async function withAgent<T>(
  { broker, protocol }: StreamSetting,
  use: (agent: BenchAgent) => Promise<T>,
): Promise<T> {
  const agent = await BenchAgent.start({ port: broker.port, protocol, pipeline: recordPipeline });
  try {
    return await use(agent);
  } finally {
    await agent.stop();
  }
}

function paced(name: string, rate: number, figures: StreamFigures): StreamResult {
  const { messagesPerSecond } = figures;
  return {
    ...figures,
    case: name,
    floorMessagesPerSecond: rate,
    ratio: rounded(messagesPerSecond / rate),
  };
}

/** Messages of a race: some seconds of it. */
const raceOf = ({ messagesPerSecond }: StreamFigures): number =>
  Math.min(MOST_RACE_MESSAGES, Math.max(WARM_UP, messagesPerSecond * RACE_SECONDS));

/** As many as go through, beside an echo, in turns. */
export const throughput: StreamCase = async (setting) => {
  const { broker, protocol, note } = setting;
  const floors: number[] = [];
  const races: StreamFigures[] = [];
  await withAgent(setting, async () => {
    const messages = raceOf(await load(setting, { messages: WARM_UP }));
    for (let pair = 0; pair < PAIRS; pair += 1) {
      const floor = await echoFloor({ port: broker.port, protocol, messages });
      floors.push(floor.messagesPerSecond);
      const race = await load(setting, { messages });
      races.push(race);
      note(`echo ${String(floor.messagesPerSecond)}/s, pipeline ${String(race.messagesPerSecond)}/s`);
    }
  });
  const of = (value: (figures: StreamFigures) => number): number => median(races.map(value));
  const sum = (value: (figures: StreamFigures) => number): number =>
    races.reduce((all, figures) => all + value(figures), 0);
  const floorMessagesPerSecond = median(floors);
  const messagesPerSecond = of((figures) => figures.messagesPerSecond);
  return {
    case: 'throughput',
    messagesPerSecond,
    floorMessagesPerSecond,
    ratio: rounded(messagesPerSecond / floorMessagesPerSecond),
    p50Ms: of((figures) => figures.p50Ms),
    p99Ms: of((figures) => figures.p99Ms),
    maxMs: of((figures) => figures.maxMs),
    lost: sum((figures) => figures.lost),
    doubled: sum((figures) => figures.doubled),
    repeated: sum((figures) => figures.repeated),
  };
};

/** A short look at what goes through, for cases that follow it. */
export const briefThroughput = (setting: Omit<StreamSetting, 'throughput'>): Promise<number> => {
  const own = { ...setting, throughput: () => Promise.resolve(Number.NaN) };
  return withAgent(own, async () => {
    const messages = raceOf(await load(own, { messages: WARM_UP }));
    return (await load(own, { messages })).messagesPerSecond;
  });
};

/** The latency at a tenth of what goes through. */
export const latency: StreamCase = async (setting) => {
  const rate = Math.round((await setting.throughput()) / 10);
  return withAgent(setting, async () => {
    await load(setting, { messages: rate * 2, perSecond: rate });
    return paced('latency', rate, await load(setting, { messages: rate * LATENCY_SECONDS, perSecond: rate }));
  });
};

/** Versions take turns while records come at a third of what goes through. */
export const swaps: StreamCase = async (setting) => {
  const rate = Math.round((await setting.throughput()) / 3);
  return withAgent(setting, async (agent) => {
    await load(setting, { messages: rate * 2, perSecond: rate });
    let swapped = 0;
    let going = true;
    const swapping = (async () => {
      for (; swapped < SWAPS && going; swapped += 1) {
        await agent.swap('records', 2 - (swapped % 2));
        await sleep(100);
      }
    })();
    const enough = (): boolean => swapped === SWAPS;
    const figures = await load(setting, { messages: rate * MOST_SWAP_SECONDS, perSecond: rate, enough });
    going = false;
    await swapping;
    return { ...paced('swaps', rate, figures), swaps: swapped };
  });
};

/** The broker ends and comes back while records are sent; it keeps what it has on disk. */
export const restarts: StreamCase = async (setting) => {
  const rate = 1_000;
  return withAgent(setting, async () => {
    await load(setting, { messages: rate, perSecond: rate });
    const { broker } = setting;
    let restarted = 0;
    const restarting = (async () => {
      for (; restarted < RESTARTS; restarted += 1) {
        await sleep(1_500);
        await broker.leave();
        await broker.comeBack();
      }
    })();
    const figures = await load(setting, { messages: rate * 45, perSecond: rate, sessionMs: 3_600_000 });
    await restarting;
    return { ...paced('restarts', rate, figures), restarts: restarted };
  });
};

/** What a training beside it adds to the latency. */
export const training: StreamCase = async (setting) => {
  const own = { messages: TRAINING_RATE * TRAINING_SECONDS, perSecond: TRAINING_RATE };
  return withAgent(setting, async (agent) => {
    await load(setting, { messages: TRAINING_RATE * 2, perSecond: TRAINING_RATE });
    const alone = await load(setting, own);
    await agent.train();
    // It reads its rows first.
    while ((await agent.figures()).trained === 0) await sleep(100);
    const before = (await agent.figures()).trained;
    const beside = await load(setting, own);
    const { trained } = await agent.figures();
    return {
      ...paced('training', TRAINING_RATE, beside),
      aloneP99Ms: alone.p99Ms,
      addedP99Ms: rounded(beside.p99Ms - alone.p99Ms),
      trainedRounds: trained - before,
    };
  });
};

/** A million records: the memory of the agent in the last quarter beside that in the second. */
export const memory: StreamCase = (setting) =>
  withAgent(setting, async (agent) => {
    const samples: { readonly answered: number; readonly bytes: number }[] = [];
    let asking = false;
    const onAnswered = (answered: number): void => {
      if (asking) return;
      asking = true;
      agent
        .figures()
        .then(({ rssBytes }) => samples.push({ answered, bytes: rssBytes }))
        .catch(() => undefined)
        .finally(() => {
          asking = false;
        });
    };
    const figures = await load(setting, { messages: 4 * QUARTER, onAnswered });
    const quarter = (index: number): number =>
      median(
        samples.filter(({ answered }) => Math.ceil(answered / QUARTER) === index).map(({ bytes }) => bytes),
      );
    const [second, last] = [quarter(2), quarter(4)];
    return {
      ...paced('memory', figures.messagesPerSecond, figures),
      rssGrowth: rounded(last / second - 1),
      rssMiB: Math.round(last / 2 ** 20),
    };
  });
