import { readFile } from 'node:fs/promises';

import {
  isJsonObject,
  parseSitePolicy,
  TributaryError,
  type JsonObject,
  type JsonValue,
} from '@tributary/proto';
import { parse, stringify } from 'yaml';

import { AGENT_CHART, chartArchive } from '../chart-archive.js';
import { requireDuration } from '../duration.js';
import type { Session } from '../session.js';
import { requireLabels, type InviteOptions } from './sites.js';

export interface SiteManifestOptions extends InviteOptions {
  readonly namespace: string;
  /** Files: the site's policy, and values of the chart. */
  readonly policy?: string;
  readonly values?: string;
  /** Secret of the site's own Mosquitto, which is run then. */
  readonly broker?: string;
  readonly chart?: string;
}

/** Helm takes 53 characters for a release, and Kubernetes no dots in some of the names made of it. */
const RELEASE = /^[a-z]([a-z0-9-]{0,51}[a-z0-9])?$/;

/**
 * Prints one file for K3s's manifests folder: namespace, join token, policy, and a HelmChart that holds the chart itself, so
 * that the site fetches nothing but images. It holds the token: whoever has the file can join as the site.
 */
export async function siteManifest(
  session: Session,
  site: string,
  options: SiteManifestOptions,
): Promise<void> {
  if (!RELEASE.test(site)) {
    throw new TributaryError(
      'USAGE',
      `${site}: names of sites on a cluster have a-z 0-9 -, begin with a letter, and at most 53`,
    );
  }
  // Everything that may be refused comes before the invitation, which is in the ledger for good.
  const policy = options.policy === undefined ? undefined : await policyText(options.policy);
  const given = options.values === undefined ? {} : await valuesOf(options.values);
  const archive = await chartArchive(options.chart ?? AGENT_CHART);
  const { token, expiresAt } = await (
    await session.admin()
  ).unary('CreateInvitation', {
    site,
    labels: requireLabels(options.label),
    ttlSeconds: requireDuration(options.ttl, '--ttl'),
    approve: options.approve,
    ...(options.serving && { kind: 'Serving' }),
  });
  const objects = objectsOf(
    { site, token, policy, archive, values: { ...given, ...ownValues(site, options, given) } },
    options,
  );
  session.terminal.out(
    objects
      .map((object) => stringify(object, { lineWidth: 0 }))
      .join('---\n')
      .trimEnd(),
  );
  session.terminal.note(`The token in it is valid until ${expiresAt}. At the site, as root:`);
  session.terminal.note(`  install -m 0600 ${site}.yaml /var/lib/rancher/k3s/server/manifests/`);
  if (!options.approve) session.terminal.note(`Then here: tributary approve ${site}`);
}

/** What the command decides, over the values that were given. */
const ownValues = (
  site: string,
  { policy, broker, serving }: SiteManifestOptions,
  given: JsonObject,
): JsonObject => ({
  fullnameOverride: site,
  mode: serving ? 'Serve' : 'Train',
  joinToken: { existingSecret: `${site}-join-token`, key: 'token' },
  ...(policy !== undefined && { policy: { existingConfigMap: `${site}-policy`, key: 'site-policy.yaml' } }),
  ...(broker !== undefined && {
    broker: { ...(isJsonObject(given['broker']) && given['broker']), enabled: true, existingSecret: broker },
  }),
});

interface Parts {
  readonly site: string;
  readonly token: string;
  readonly policy: string | undefined;
  readonly archive: Buffer;
  readonly values: JsonObject;
}

function objectsOf(
  { site, token, policy, archive, values }: Parts,
  { namespace }: SiteManifestOptions,
): readonly object[] {
  const labels = { 'app.kubernetes.io/part-of': 'tributary', 'tributary.dev/site': site };
  const named = (name: string): object => ({ name, namespace, labels });
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: namespace,
        labels: { ...labels, 'pod-security.kubernetes.io/enforce': 'restricted' },
      },
    },
    {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: named(`${site}-join-token`), type: 'Opaque' },
      stringData: { token },
    },
    ...(policy === undefined
      ? []
      : [
          {
            ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: named(`${site}-policy`) },
            data: { 'site-policy.yaml': policy },
          },
        ]),
    {
      apiVersion: 'helm.cattle.io/v1',
      kind: 'HelmChart',
      // The controller of K3s looks there, and installs into the namespace of the site.
      metadata: { name: site, namespace: 'kube-system', labels },
      spec: {
        chartContent: archive.toString('base64'),
        targetNamespace: namespace,
        valuesContent: stringify(values, { lineWidth: 0 }),
      },
    },
  ];
}

/** The text as it is: its comments are for the people of the site. */
async function policyText(path: string): Promise<string> {
  const text = await readText('--policy', path);
  parseSitePolicy(yamlOf('--policy', path, text));
  return text;
}

async function valuesOf(path: string): Promise<JsonObject> {
  const value = yamlOf('--values', path, await readText('--values', path));
  if (isJsonObject(value)) return value;
  throw new TributaryError('USAGE', `--values: ${path} holds no values of the chart`);
}

function yamlOf(option: string, path: string, text: string): JsonValue {
  try {
    return parse(text, { maxAliasCount: 0 }) as JsonValue;
  } catch (cause) {
    throw new TributaryError('USAGE', `${option}: ${path} is not YAML`, { cause });
  }
}

async function readText(option: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const fault = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown fault';
    throw new TributaryError('USAGE', `${option}: ${path} cannot be read (${fault})`, { cause });
  }
}
