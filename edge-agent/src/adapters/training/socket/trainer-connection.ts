import { createConnection, type Socket } from 'node:net';

import { TributaryError } from '@tributary/proto';

import { TRAINER_DIED } from '../../../domain/training-error.js';
import { cancelled } from '../stop-word.js';
import { encodeFrame, FrameReader, TO_TRAINER } from './frames.js';
import type { AnswerReader, TrainerAnswer } from './trainer-answer.js';

export interface ConnectionLimits {
  /** Milliseconds until somebody must listen. */
  readonly startMs: number;
  /** Milliseconds without a byte in either direction. */
  readonly idleMs: number;
  /** Milliseconds of the whole task. */
  readonly taskMs: number;
  /** Milliseconds that a trainer may take to stop when it is told to. */
  readonly stopMs: number;
}

/** How often a socket that nobody listens on yet, or a word in shared memory, is looked at. */
const LOOK_MS = 50;

/** Connects to a trainer, which may still be starting. Rejects with TRAINING_FAILED after `startMs`. */
export async function connectTrainer(path: string, startMs: number, stopped: () => boolean): Promise<Socket> {
  const end = performance.now() + startMs;
  for (;;) {
    const socket = await tryConnect(path);
    if (socket !== undefined) return socket;
    if (stopped()) throw cancelled();
    if (performance.now() > end)
      throw new TributaryError('TRAINING_FAILED', 'no trainer listens on the socket that agent.yaml names');
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function tryConnect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection({ path });
    socket.once('connect', () => {
      socket.removeAllListeners();
      resolve(socket);
    });
    socket.once('error', () => {
      socket.destroy();
      resolve(undefined);
    });
  });
}

/**
 * Sends a task frame by frame while listening to the trainer, and resolves with its answer. Rejects with TRAINING_FAILED
 * where the trainer goes away, sends nonsense or falls silent; with JOB_CANCELLED once `stopped` says so.
 */
export async function exchange(
  socket: Socket,
  frames: Iterable<Uint8Array>,
  reader: AnswerReader,
  limits: ConnectionLimits,
  stopped: () => boolean,
): Promise<TrainerAnswer> {
  const timers = new Set<NodeJS.Timeout>();
  const after = (ms: number, action: () => void): void => {
    timers.add(setTimeout(action, ms));
  };
  try {
    return await new Promise<TrainerAnswer>((resolve, reject) => {
      listen(socket, reader, resolve, reject);
      socket.setTimeout(limits.idleMs, () => {
        reject(gone('said nothing for too long'));
      });
      after(limits.taskMs, () => {
        reject(gone('did not finish in the time of the round'));
      });
      const looking = setInterval(() => {
        if (!stopped()) return;
        clearInterval(looking);
        socket.write(encodeFrame(TO_TRAINER.stop));
        after(limits.stopMs, () => {
          reject(cancelled());
        });
      }, LOOK_MS);
      timers.add(looking);
      send(socket, frames).catch(reject);
    });
  } catch (error) {
    throw stopped() ? cancelled() : error;
  } finally {
    for (const timer of timers) clearTimeout(timer);
    socket.destroy();
  }
}

function listen(
  socket: Socket,
  reader: AnswerReader,
  resolve: (answer: TrainerAnswer) => void,
  reject: (error: Error) => void,
): void {
  const frames = new FrameReader();
  socket.on('data', (bytes: Buffer) => {
    try {
      for (const frame of frames.push(bytes)) {
        const answer = reader.push(frame);
        if (answer !== undefined) resolve(answer);
      }
    } catch (error) {
      reject(error as Error);
    }
  });
  socket.on('error', () => {
    reject(gone('broke the connection', { [TRAINER_DIED]: true }));
  });
  socket.on('close', () => {
    reject(gone('ended before it had answered', { [TRAINER_DIED]: true }));
  });
}

/** Waits wherever the trainer reads more slowly than the agent sends. */
async function send(socket: Socket, frames: Iterable<Uint8Array>): Promise<void> {
  for (const frame of frames) {
    if (socket.destroyed) return;
    if (socket.write(frame)) continue;
    await new Promise<void>((resolve) => {
      socket.once('drain', resolve).once('close', resolve);
    });
  }
}

const gone = (how: string, fields: Readonly<Record<string, boolean>> = {}): TributaryError =>
  new TributaryError('TRAINING_FAILED', `the trainer ${how}`, { fields });
