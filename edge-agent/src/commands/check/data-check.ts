import { readFile } from 'node:fs/promises';
import type { X509Certificate } from 'node:crypto';

import type { SitePolicySpec } from '@tributary/proto';

import { openDataset } from '../../adapters/datasets/open-dataset.js';
import { policyFile } from '../../adapters/files/policy-file.js';
import { certificatesOf } from '../../adapters/tls/server-look.js';
import type { AgentConfig } from '../../config.js';
import {
  failedLine,
  noteLine,
  okLine,
  skippedLine,
  type CheckLine,
} from '../../domain/site-check/check-line.js';
import { explainBackends } from '../backends.js';
import type { PolicedDataset } from '../dataset-handles.js';

/** What the policy allows, in short, and what it refuses. */
export async function policyCheck({ policyPath, datasets }: AgentConfig): Promise<CheckLine> {
  const policy = await policyFile(policyPath).read();
  if (policy === undefined && policyPath !== undefined)
    return failedLine(
      'policy',
      `${policyPath} is not there: every job is refused`,
      'put the SitePolicy there, or correct policy in agent.yaml',
    );
  if (policy === undefined)
    return noteLine(
      'policy',
      'the site has none: every job is refused',
      'write a SitePolicy and name it in agent.yaml (policy); deploy/examples has one',
    );
  return policyLine(
    policy.spec,
    datasets.map(({ name }) => name),
  );
}

export function policyLine(spec: SitePolicySpec, declared: readonly string[]): CheckLine {
  const { authors, datasets, federation, minimumCohort, requireSecureAggregation, approval } = spec;
  const allowed = datasets.map(({ name }) => name);
  const listed = declared.filter((name) => allowed.includes(name));
  const refuses = [
    ...(requireSecureAggregation ? ['jobs without secure aggregation'] : []),
    ...(minimumCohort > 1 ? [`cohorts under ${String(minimumCohort)}`] : []),
    ...(federation === undefined ? [] : ['members that the federation root did not sign']),
    ...(approval.type === 'Automatic' ? [] : ['jobs that nobody at the site approved']),
    ...declared.filter((name) => !allowed.includes(name)).map((name) => `jobs on dataset ${name}`),
  ];
  const root = federation === undefined ? 'no federation root' : 'federation root pinned';
  const found = `authors ${authors.map(({ name }) => name).join(', ') || 'none'}; datasets ${listed.join(', ') || 'none'}; ${root}; refuses ${refuses.join(', ') || 'nothing beyond its limits'}`;
  if (authors.length === 0)
    return noteLine(
      'policy',
      `${found}; it trusts no author, so every job is refused`,
      'add the key of an author',
    );
  if (declared.length > 0 && listed.length === 0)
    return noteLine(
      'policy',
      found,
      'list under datasets what agent.yaml declares; until then every job is refused',
    );
  return okLine('policy', found);
}

/** Whether a dataset can be opened, and its first row read as jobs would. */
export async function datasetCheck(
  { handle, listed }: PolicedDataset,
  signal: AbortSignal,
): Promise<CheckLine> {
  const check = `dataset/${handle.name}`;
  const open = await openDataset(handle, undefined, () => signal.throwIfAborted());
  try {
    const columns = `${String(open.columns.length)} columns`;
    const rows = open.rows()[Symbol.asyncIterator]();
    const first = await rows.next();
    await rows.return?.();
    if (first.done === true)
      return failedLine(check, `${columns}, and no row`, 'correct path or glob, or wait for the rows');
    const said = listed ? '' : '; the policy does not list it';
    return okLine(check, `readable, ${columns}${said}`);
  } finally {
    await open.close();
  }
}

export interface BundleLook {
  readonly line: CheckLine;
  readonly authorities: readonly X509Certificate[];
  /** PEM, where it can be used. */
  readonly bundle?: string;
}

/** The authorities of caBundle; a site that has none is fine. */
export async function bundleCheck(
  { caBundlePath }: Pick<AgentConfig, 'caBundlePath'>,
  nowMs: number,
): Promise<BundleLook> {
  if (caBundlePath === undefined)
    return { line: skippedLine('ca-bundle', 'agent.yaml names none'), authorities: [] };
  try {
    const bundle = await readFile(caBundlePath, 'utf8');
    const authorities = certificatesOf(bundle);
    if (authorities.length === 0)
      return {
        line: failedLine(
          'ca-bundle',
          `${caBundlePath} holds no certificate`,
          'it is PEM, with BEGIN CERTIFICATE lines',
        ),
        authorities,
      };
    const ended = authorities.filter(({ validTo }) => Date.parse(validTo) < nowMs);
    const found = `${String(authorities.length)} certificates`;
    if (ended.length === authorities.length)
      return {
        line: failedLine('ca-bundle', `${found}, all expired`, 'ask for the present one'),
        authorities,
      };
    return { line: okLine('ca-bundle', found), authorities, bundle };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'not PEM';
    const fix = 'correct caBundle; it is PEM, readable by the user of the agent';
    return {
      line: failedLine('ca-bundle', `${caBundlePath} cannot be read (${code})`, fix),
      authorities: [],
    };
  }
}

/** Which backend would train, and why CUDA would not. */
export async function trainerCheck(
  { trainer }: Pick<AgentConfig, 'trainer'>,
  stop: AbortSignal,
): Promise<CheckLine> {
  if (trainer.type === 'Socket')
    return skippedLine('gpu', 'the trainer is another process, which chooses for itself');
  const { chosen, lines } = await explainBackends(trainer, undefined, stop);
  const why = lines
    .filter(({ backend, state }) => backend !== chosen && state !== 'NotNeeded')
    .map(({ backend, reason }) => `${backend}: ${reason}`)
    .join('; ');
  if (chosen === undefined)
    return failedLine('gpu', `no backend can train here; ${why}`, 'see `tributary-agent backends`');
  if (trainer.backend === 'NativeGpu' && chosen !== 'native-gpu')
    return failedLine(
      'gpu',
      `${chosen} would train instead of CUDA; ${why}`,
      'see "Training on a GPU" in the README of the agent',
    );
  return okLine('gpu', `${chosen} trains${why === '' ? '' : `; not ${why}`}`);
}
