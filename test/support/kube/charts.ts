import { spawn } from 'node:child_process';
import { join } from 'node:path';

import { parseAllDocuments } from 'yaml';

import { repositoryRoot } from '../daemon.js';
import { toolsOf, type Generation } from './tools.js';

export const CHARTS = ['tributary-coordinator', 'tributary-agent'] as const;
export type ChartName = (typeof CHARTS)[number];

export const chartFolder = (chart: ChartName): string => join(repositoryRoot, 'deploy/charts', chart);

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program with `input` to its end. */
export function execute(
  program: string,
  args: readonly string[],
  input = '',
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...env } });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...output }));
    // A program that does not read its input closes it.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

export type Values = Readonly<Record<string, unknown>>;

/** Runs helm of a generation; `values` go to its standard input, for `-f -`. Rejects where it was not fetched. */
export async function helm(
  generation: Generation,
  args: readonly string[],
  values?: Values,
  env: Readonly<Record<string, string>> = {},
): Promise<Ran> {
  const tools = toolsOf(generation);
  if (tools === undefined) throw new Error(`${generation} was not fetched`);
  const given = values === undefined ? [] : ['-f', '-'];
  return execute(tools.helm, [...args, ...given], values === undefined ? '' : JSON.stringify(values), env);
}

/** An object of the API, as it was rendered. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export interface Rendering {
  readonly generation: Generation;
  readonly values: Values;
  readonly kubeVersion?: string;
  /** API groups beyond those that every cluster has. */
  readonly apis?: readonly string[];
  readonly release?: string;
  readonly namespace?: string;
}

/** `helm template`, hooks too. Rejects with what helm says. */
export async function render(chart: ChartName, options: Rendering): Promise<readonly Manifest[]> {
  const { generation, values, kubeVersion = '1.31.0', apis = [], release = 'north' } = options;
  const { namespace = 'tributary' } = options;
  const { code, stdout, stderr } = await helm(
    generation,
    [
      ...['template', release, chartFolder(chart), '--namespace', namespace, '--kube-version', kubeVersion],
      ...apis.flatMap((api) => ['--api-versions', api]),
    ],
    values,
  );
  if (code !== 0) throw new Error(stderr);
  return manifestsOf(stdout);
}

/** Documents as Kubernetes reads them: YAML 1.1, in which `y` and `on` are booleans. */
export function manifestsOf(text: string): readonly Manifest[] {
  return parseAllDocuments(text, { version: '1.1' }).flatMap((document) => {
    const [error] = [...document.errors, ...document.warnings];
    if (error !== undefined) throw error;
    const value = document.toJS() as Manifest | null;
    return value === null ? [] : [value];
  });
}

/** The only manifest of a kind, or that of a name. */
export function manifestOf(manifests: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = manifests.filter(
    (manifest) => manifest.kind === kind && (name === undefined || manifest.metadata.name === name),
  );
  const [first] = found;
  if (first === undefined || found.length > 1)
    throw new Error(`${String(found.length)} ${kind} ${name ?? ''}`);
  return first;
}
