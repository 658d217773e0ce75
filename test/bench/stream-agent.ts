import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';

import type { StreamPipeline } from '@tributary/proto';

import type { AgentReply, AgentRequest } from './stream-agent-main.js';
import { putModels } from './stream-model.js';

const MAIN = join(import.meta.dirname, 'stream-agent-main.js');
const TASKSET = '/usr/bin/taskset';

export interface AgentOptions {
  readonly port: number;
  readonly protocol: 'V3' | 'V5';
  readonly pipeline: StreamPipeline;
  /** Keeps the agent with all its threads on one core, where the system has `taskset`. */
  readonly oneCore?: boolean;
}

/** The agent of a site, with models and a pipeline, in a process of its own. */
export class BenchAgent {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<never>;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    this.#ended = once(child, 'exit').then(() =>
      Promise.reject(new Error('the agent of the benchmark ended')),
    );
    this.#ended.catch(() => undefined);
  }

  static async start({ oneCore = false, ...options }: AgentOptions): Promise<BenchAgent> {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-bench-'));
    await putModels(join(folder, 'models'));
    // As the shim of the agent does.
    const node = [process.execPath, '--no-incremental-marking', MAIN];
    const pinned = oneCore && canPin() ? [TASKSET, '-c', String(availableParallelism() - 1)] : [];
    const [program = '', ...args] = [...pinned, ...node];
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const agent = new BenchAgent(child, folder);
    await agent.#ask({ kind: 'start', dataDir: folder, ...options });
    return agent;
  }

  async swap(model: string, version: number): Promise<void> {
    await this.#ask({ kind: 'swap', model, version });
  }

  /** Trains from now on. */
  async train(): Promise<void> {
    await this.#ask({ kind: 'train' });
  }

  figures(): Promise<AgentReply> {
    return this.#ask({ kind: 'figures' });
  }

  async stop(): Promise<void> {
    const ended = this.#child.exitCode === null ? once(this.#child, 'exit') : undefined;
    await this.#ask({ kind: 'stop' }).catch(() => this.#child.kill('SIGKILL'));
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }

  #ask(request: AgentRequest): Promise<AgentReply> {
    const asked = this.#turn.then(async () => {
      const message = new Promise<[AgentReply]>((resolve) => {
        this.#child.once('message', (reply) => resolve([reply as AgentReply]));
      });
      const reply = Promise.race([message, this.#ended]);
      this.#child.send(request);
      const [answer] = await reply;
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    });
    this.#turn = asked.catch(() => undefined);
    return asked;
  }
}

/** Whether `oneCore` is kept. */
export const canPin = (): boolean => existsSync(TASKSET);
