import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { execute } from '../../kube/charts.js';
import { field, textAt } from '../../kube/field.js';
import type { Api } from '../api.js';
import { inBackground } from '../background.js';
import { isSame, type Fields, type KubeObject } from '../objects.js';
import type { Controller } from './loop.js';

const FINALIZER = 'wrangler.cattle.io/on-helm-chart-remove';
const WRITING = { manager: 'helm-controller' };

export interface HelmPlace {
  /** Program to install with: K3s's controller runs helm 3. */
  readonly helm: string;
  readonly kubeconfig: string;
  readonly folder: string;
}

/** Installs, upgrades and uninstalls what HelmCharts ask for, from their chartContent, as K3s's helm-controller does. */
export function installCharts(place: HelmPlace): Controller {
  const installed = new Map<string, Fields>();
  return (api: Api) => {
    const kind = api.kinds.all.find((one) => one.kind === 'HelmChart');
    for (const chart of kind === undefined ? [] : api.store.list(kind)) {
      const uid = chart.metadata.uid ?? '';
      const isLeaving = chart.metadata.deletionTimestamp !== undefined;
      const wanted = { spec: chart['spec'], isLeaving };
      if (isSame(installed.get(uid), wanted)) continue;
      installed.set(uid, wanted);
      // Not awaited: helm waits for what the other controllers do.
      inBackground(bring(api, place, chart, isLeaving));
    }
  };
}

async function bring(api: Api, place: HelmPlace, chart: KubeObject, isLeaving: boolean): Promise<void> {
  const kind = api.kinds.named('HelmChart');
  const finalizers = (one: KubeObject): readonly string[] => one.metadata.finalizers ?? [];
  if (!isLeaving && !finalizers(chart).includes(FINALIZER))
    await api.edit(
      kind,
      chart,
      (object) => (object.metadata.finalizers = [...finalizers(object), FINALIZER]),
      WRITING,
    );
  const failure = isLeaving ? await uninstall(place, chart) : await install(place, chart);
  if (isLeaving && failure === '') {
    await api.edit(
      kind,
      chart,
      (object) => (object.metadata.finalizers = finalizers(object).filter((one) => one !== FINALIZER)),
      WRITING,
    );
    return;
  }
  const conditions = [{ type: 'Failed', status: failure === '' ? 'False' : 'True', message: failure }];
  const status = { jobName: `helm-install-${chart.metadata.name}`, conditions };
  await api.edit(kind, chart, (object) => (object['status'] = status), { ...WRITING, subresource: 'status' });
}

const namespaceOf = (chart: KubeObject): string =>
  textAt(chart, 'spec', 'targetNamespace') || (chart.metadata.namespace ?? '');

async function install(place: HelmPlace, chart: KubeObject): Promise<string> {
  const folder = join(place.folder, 'charts', chart.metadata.uid ?? '');
  await mkdir(folder, { recursive: true });
  const archive = join(folder, 'chart.tgz');
  await writeFile(archive, Buffer.from(textAt(chart, 'spec', 'chartContent'), 'base64'));
  const creates = field(chart, 'spec', 'createNamespace') === true ? ['--create-namespace'] : [];
  return helm(
    place,
    ['upgrade', '--install', chart.metadata.name, archive, '-n', namespaceOf(chart), ...creates, '-f', '-'],
    textAt(chart, 'spec', 'valuesContent'),
  );
}

const uninstall = (place: HelmPlace, chart: KubeObject): Promise<string> =>
  helm(place, ['uninstall', chart.metadata.name, '-n', namespaceOf(chart), '--ignore-not-found'], '');

/** What helm complains of; '' where nothing. */
async function helm(place: HelmPlace, args: readonly string[], input: string): Promise<string> {
  const { code, stderr } = await execute(place.helm, args, input, { KUBECONFIG: place.kubeconfig });
  return code === 0 ? '' : stderr;
}
