import { existsSync } from 'node:fs';

import { compileFeatures, layoutOf, TributaryError } from '@tributary/proto';

import { socketPath } from '../adapters/files/data-directory.js';
import { policyFile } from '../adapters/files/policy-file.js';
import { requestOf } from '../adapters/http/status-client.js';
import type { Explanation } from '../app/site-desk.js';
import type { AgentConfig } from '../config.js';
import { explainPolicy, type Finding } from '../domain/policy.js';
import { readJob } from './job-file.js';

/** `policy check`: what to print. Rejects with POLICY_MISSING, DOCUMENT_INVALID. */
export async function policyCheck(
  { policyPath }: AgentConfig,
  { output }: { readonly output: string },
): Promise<string> {
  const policy = await policyFile(policyPath).read();
  if (policy === undefined)
    throw new TributaryError('POLICY_MISSING', missingPolicy(policyPath), {
      hint: 'write a SitePolicy and name it in agent.yaml (policy)',
    });
  const { spec, digest } = policy;
  const { datasets, authors } = spec;
  if (output === 'json') return `${JSON.stringify({ formatVersion: 1, digest, spec })}\n`;
  return `The policy can be used: authors ${String(authors.length)}, datasets ${String(datasets.length)}, digest ${digest}.\n`;
}

const missingPolicy = (path: string | undefined): string =>
  path === undefined
    ? 'agent.yaml names no policy: every job is refused'
    : `${path} does not exist: every job is refused`;

export interface ExplainFlags {
  readonly output: string;
  readonly author?: string;
}

/** `policy explain`: what to print, and why a job would be refused. */
export async function policyExplain(
  config: AgentConfig,
  job: string,
  { output, author }: ExplainFlags,
): Promise<{ readonly text: string; readonly refusal: TributaryError | undefined }> {
  const explanation = isFile(job)
    ? await explainFile(config, job, author)
    : (JSON.parse(await requestOf(socketPath(config.dataDir), 'GET', '/explain', { job })) as Explanation);
  const text =
    output === 'json'
      ? `${JSON.stringify(explanation, null, 2)}\n`
      : explanation.findings.map(describe).join('');
  return { text, refusal: refusalOf(explanation) };
}

/** Names of jobs hold no slash, and end in no suffix of a document that is there. */
const isFile = (job: string): boolean =>
  job.includes('/') || (/\.(ya?ml|json)$/.test(job) && existsSync(job));

async function explainFile(
  config: AgentConfig,
  path: string,
  author: string | undefined,
): Promise<Explanation> {
  const { metadata, spec } = await readJob(path);
  const policy = (await policyFile(config.policyPath).read())?.spec;
  const { shape } = compileFeatures(spec.features);
  const findings = explainPolicy(policy, spec, {
    datasets: config.datasets.map(({ name }) => name),
    trainer: config.trainer.type,
    parameters: layoutOf(spec.model.layers, shape).length,
    startsAt: Date.now(),
    ...(author === undefined ? {} : { authorKey: author }),
  });
  return { formatVersion: 1, job: metadata.name, findings };
}

function refusalOf({ job, findings }: Explanation): TributaryError | undefined {
  const worst =
    findings.find(({ verdict }) => verdict === 'Refused') ??
    findings.find(({ verdict }) => verdict === 'Waits');
  if (worst === undefined) return undefined;
  const { code = 'POLICY_REFUSED', detail = worst.rule, fix } = worst;
  return new TributaryError(code, `${job}: ${detail}`, fix === undefined ? {} : { hint: fix });
}

const describe = ({ rule, verdict, demanded, found, fix }: Finding): string =>
  [
    `${MARKS[verdict].padEnd(14)} ${rule}: demands ${demanded}; found ${found}`,
    ...(fix === undefined ? [] : [`${' '.repeat(15)}what it takes: ${fix}`]),
    '',
  ].join('\n');

const MARKS: Readonly<Record<Finding['verdict'], string>> = {
  Allowed: 'allowed',
  Refused: 'REFUSED',
  Waits: 'WAITS',
  NotApplicable: 'not applicable',
  Unknown: 'not known yet',
};
