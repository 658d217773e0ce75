import type { ServerResponse } from 'node:http';

import { ApiError } from './api-error.js';
import type { Api, Deleting, PatchType, Propagation, Writing } from './api.js';
import { apiVersionOf } from './kinds.js';
import { isFields, type Fields, type KubeObject } from './objects.js';
import type { Route } from './route.js';
import { fieldTest, labelTest } from './selectors.js';
import { sendJson, type ServerOptions } from './server.js';
import { tableOf } from './table.js';
import type { FieldValidation } from './validation.js';
import { watch } from './watch.js';

/** A request, read. */
export interface Asked {
  readonly verb: string;
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly contentType: string;
  readonly userAgent: string;
  readonly body: unknown;
}

const PATCH_TYPES: Readonly<Record<string, PatchType>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
};
const DEFAULT_WATCH_SECONDS = 1_800;

type Handler = (request: ObjectRequest) => Promise<void> | void;

/** Answers what is asked of objects. */
export async function answerObjects(
  options: ServerOptions,
  route: Route,
  asked: Asked,
  response: ServerResponse,
): Promise<void> {
  const handler = HANDLERS[`${asked.verb} ${route.name === undefined ? 'list' : 'object'}`];
  if (handler === undefined) throw new ApiError('MethodNotAllowed', `${asked.verb} is not for this address`);
  if (route.subresource !== undefined && !route.kind.subresources.includes(route.subresource))
    throw new ApiError('NotFound', `${route.kind.plural}/${route.subresource} is not known`);
  await handler(new ObjectRequest(options, route, asked, response));
}

class ObjectRequest {
  readonly options: ServerOptions;
  readonly route: Route;
  readonly asked: Asked;
  readonly response: ServerResponse;

  constructor(options: ServerOptions, route: Route, asked: Asked, response: ServerResponse) {
    this.options = options;
    this.route = route;
    this.asked = asked;
    this.response = response;
  }

  get api(): Api {
    return this.options.api;
  }

  get name(): string {
    return this.route.name ?? '';
  }

  flag(name: string): boolean {
    return ['true', '1'].includes(this.asked.query.get(name) ?? '');
  }

  /** A test of what the query selects. */
  selection(): (object: KubeObject) => boolean {
    const labels = labelTest(this.asked.query.get('labelSelector') ?? '');
    const fields = fieldTest(this.asked.query.get('fieldSelector') ?? '', this.route.kind.kind);
    return (object) => labels(object.metadata.labels ?? {}) && fields(object) && this.#isNamed(object);
  }

  #isNamed(object: KubeObject): boolean {
    return this.route.name === undefined || object.metadata.name === this.route.name;
  }

  writing(): Writing {
    const { query, userAgent } = this.asked;
    const [program = 'unknown'] = userAgent.split('/');
    const dryRun = query.getAll('dryRun');
    if (dryRun.some((way) => way !== 'All')) throw new ApiError('BadRequest', 'dryRun: only All is known');
    return {
      manager: query.get('fieldManager') ?? program,
      validation: (query.get('fieldValidation') ?? 'Warn') as FieldValidation,
      dryRun: dryRun.length > 0,
      force: this.flag('force'),
      ...(this.route.subresource === 'status' ? { subresource: 'status' as const } : {}),
      warn: (text) => this.response.appendHeader('warning', `299 - ${JSON.stringify(text)}`),
    };
  }

  object(): KubeObject {
    if (isFields(this.asked.body)) return this.asked.body as KubeObject;
    throw new ApiError('BadRequest', 'an object is needed');
  }

  send(code: number, object: KubeObject): void {
    sendJson(this.response, code, this.shown([object], object.metadata.resourceVersion ?? '') ?? object);
  }

  /** A table, where one is asked for. */
  shown(objects: readonly KubeObject[], version: string): Fields | undefined {
    if (!/as=Table/.test(this.asked.accept)) return undefined;
    return tableOf(
      objects,
      this.route.kind.kind,
      version,
      this.asked.query.get('includeObject') ?? 'Metadata',
    );
  }

  deleting(): Deleting {
    const options = isFields(this.asked.body) ? this.asked.body : {};
    const grace = options['gracePeriodSeconds'] ?? this.asked.query.get('gracePeriodSeconds');
    const propagation = options['propagationPolicy'] ?? this.asked.query.get('propagationPolicy');
    const dryRun = this.asked.query.has('dryRun') || options['dryRun'] !== undefined;
    return {
      ...(typeof propagation === 'string' ? { propagation: propagation as Propagation } : {}),
      ...(grace === null || grace === undefined ? {} : { graceSeconds: Number(grace) }),
      ...(isFields(options['preconditions']) ? { preconditions: options['preconditions'] } : {}),
      dryRun,
    };
  }
}

function list(request: ObjectRequest): void {
  const { api, route, asked, response } = request;
  const { kind, namespace } = route;
  const matches = request.selection();
  if (request.flag('watch')) {
    const seconds = Number(asked.query.get('timeoutSeconds') ?? DEFAULT_WATCH_SECONDS);
    watch(
      api.store,
      {
        ...{ kind, namespace, matches, timeoutMs: seconds * 1_000 },
        shown: (object) => request.shown([object], object.metadata.resourceVersion ?? '') ?? object,
        resourceVersion: asked.query.get('resourceVersion') ?? '',
        sendInitialEvents: request.flag('sendInitialEvents'),
        bookmarks: request.flag('allowWatchBookmarks'),
      },
      response,
    );
    return;
  }
  const items = api.store.list(kind, namespace).filter(matches);
  const resourceVersion = String(api.store.version);
  const whole = {
    kind: `${kind.kind}List`,
    apiVersion: apiVersionOf(kind),
    metadata: { resourceVersion },
    items,
  };
  sendJson(response, 200, request.shown(items, resourceVersion) ?? whole);
}

async function read(request: ObjectRequest): Promise<void> {
  const { route, asked, response, api, options } = request;
  if (request.flag('watch')) return list(request);
  if (route.subresource === 'log')
    return sendJson(
      response,
      200,
      await options.podLog(route.namespace ?? '', request.name, asked.query.get('container') ?? undefined),
    );
  const object = api.get(route.kind, route.namespace, request.name);
  if (route.subresource === 'scale') return sendJson(response, 200, scaleOf(object));
  request.send(200, object);
}

function scaleOf(object: KubeObject): Fields {
  const { name, namespace, uid, resourceVersion } = object.metadata;
  const { replicas = 0 } = (object['spec'] ?? {}) as { readonly replicas?: number };
  const status = (object['status'] ?? {}) as { readonly replicas?: number };
  return {
    ...{ kind: 'Scale', apiVersion: 'autoscaling/v1', metadata: { name, namespace, uid, resourceVersion } },
    ...{ spec: { replicas }, status: { replicas: status.replicas ?? 0 } },
  };
}

async function create(request: ObjectRequest): Promise<void> {
  const { api, route } = request;
  request.send(201, await api.create(route.kind, route.namespace, request.object(), request.writing()));
}

async function replace(request: ObjectRequest): Promise<void> {
  const { api, route } = request;
  const object = request.object();
  if (route.subresource === 'scale') return scale(request, object);
  request.send(200, await api.update(route.kind, route.namespace, object, request.writing()));
}

async function scale({ api, route, name, response, asked }: ObjectRequest, wanted: Fields): Promise<void> {
  const { replicas } = (wanted['spec'] ?? {}) as { readonly replicas?: number };
  const manager = asked.query.get('fieldManager') ?? 'scale';
  const at = { namespace: route.namespace, name };
  sendJson(
    response,
    200,
    scaleOf(await api.patch(route.kind, at, 'merge', { spec: { replicas } }, { manager })),
  );
}

async function change(request: ObjectRequest): Promise<void> {
  const { api, route, asked, name } = request;
  const type = PATCH_TYPES[asked.contentType.split(';')[0] ?? ''];
  if (type === undefined) throw new ApiError('UnsupportedMediaType', `${asked.contentType}: no patch`);
  if (type === 'apply' && !asked.query.has('fieldManager'))
    throw new ApiError('BadRequest', 'fieldManager is required for apply patch');
  if (route.subresource === 'scale') return scale(request, request.object());
  const isNew = api.store.get(route.kind, route.namespace, name) === undefined;
  const at = { namespace: route.namespace, name };
  request.send(isNew ? 201 : 200, await api.patch(route.kind, at, type, asked.body, request.writing()));
}

async function remove(request: ObjectRequest): Promise<void> {
  const { api, route } = request;
  request.send(200, await api.delete(route.kind, route.namespace, request.name, request.deleting()));
}

async function removeAll(request: ObjectRequest): Promise<void> {
  const { api, route, response } = request;
  const items = api.store.list(route.kind, route.namespace).filter(request.selection());
  for (const { metadata } of items)
    await api.delete(route.kind, metadata.namespace, metadata.name, request.deleting());
  sendJson(response, 200, {
    kind: `${route.kind.kind}List`,
    apiVersion: apiVersionOf(route.kind),
    metadata: {},
    items,
  });
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  'GET list': list,
  'GET object': read,
  'POST list': create,
  'PUT object': replace,
  'PATCH object': change,
  'DELETE object': remove,
  'DELETE list': removeAll,
};
