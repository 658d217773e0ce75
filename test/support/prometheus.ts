import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { stringify } from 'yaml';

import { field, listAt, textAt } from './kube/field.js';
import { canConnect, freePort } from './local-ports.js';
import { eventually } from './waiting.js';

const PROMETHEUS = '/usr/bin/prometheus';

/** True where Debian's prometheus is installed. */
export const prometheusInstalled = (): boolean => existsSync(PROMETHEUS);

/** What is scraped under which labels: those that a ServiceMonitor gives. */
export interface ScrapeTarget {
  readonly job: string;
  /** host:port */
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface RuleState {
  readonly name: string;
  /** ok, or what is wrong with it. */
  readonly health: string;
  readonly error: string;
  readonly state: string;
  readonly evaluated: boolean;
}

/** A real Prometheus that scrapes, and evaluates its rules, every second. */
export class Prometheus {
  readonly #port: number;
  readonly #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.#port = port;
    this.#child = child;
  }

  /** `rules`: texts of rule files. */
  static async start(
    folder: string,
    targets: readonly ScrapeTarget[],
    rules: readonly string[] = [],
  ): Promise<Prometheus> {
    const port = await freePort();
    const files = rules.map((_, index) => join(folder, `rules-${String(index)}.yaml`));
    for (const [index, text] of rules.entries()) await writeFile(files[index] ?? '', text);
    const configuration = {
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: files,
      scrape_configs: targets.map(({ job, address, labels }) => ({
        job_name: job,
        static_configs: [{ targets: [address], labels }],
      })),
    };
    await writeFile(join(folder, 'prometheus.yaml'), stringify(configuration));
    const child = spawn(
      PROMETHEUS,
      [
        `--config.file=${join(folder, 'prometheus.yaml')}`,
        `--storage.tsdb.path=${join(folder, 'tsdb')}`,
        `--web.listen-address=127.0.0.1:${String(port)}`,
        '--log.level=warn',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    await eventually('Prometheus to listen', async () => {
      if (child.exitCode !== null) throw new Error(`Prometheus ended: ${said}`);
      return (await canConnect(port)) || undefined;
    });
    return new Prometheus(port, child);
  }

  /** Samples of an instant query. Rejects with what Prometheus says of the expression. */
  async query(expression: string): Promise<readonly Sample[]> {
    const answer = await this.#ask(`query?query=${encodeURIComponent(expression)}`);
    const result = listAt(answer, 'data', 'result');
    if (field(answer, 'data', 'resultType') === 'scalar')
      return [{ labels: {}, value: Number(field(result, 1)) }];
    return result.map((sample) => ({
      labels: field(sample, 'metric') as Readonly<Record<string, string>>,
      value: Number(field(sample, 'value', 1)),
    }));
  }

  /** Values of a label over the series that match, as a variable of a dashboard has them. */
  async labelValues(match: string, label: string): Promise<readonly string[]> {
    const answer = await this.#ask(`label/${label}/values?match[]=${encodeURIComponent(match)}`);
    return listAt(answer, 'data').map(String);
  }

  /** Whether every target was scraped without a fault the last time. */
  async isScraping(): Promise<boolean> {
    const targets = listAt(await this.#ask('targets'), 'data', 'activeTargets');
    return targets.length > 0 && targets.every((target) => field(target, 'health') === 'up');
  }

  async rules(): Promise<readonly RuleState[]> {
    const groups = listAt(await this.#ask('rules'), 'data', 'groups');
    return groups
      .flatMap((group) => listAt(group, 'rules'))
      .map((rule) => ({
        name: String(field(rule, 'name')),
        health: String(field(rule, 'health')),
        error: textAt(rule, 'lastError'),
        state: String(field(rule, 'state')),
        evaluated: Date.parse(String(field(rule, 'lastEvaluation'))) > 0,
      }));
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await ended;
  }

  async #ask(path: string): Promise<unknown> {
    const response = await fetch(`http://127.0.0.1:${String(this.#port)}/api/v1/${path}`);
    const answer: unknown = await response.json();
    if (field(answer, 'status') !== 'success') throw new Error(String(field(answer, 'error')));
    return answer;
  }
}
