import { decodeBase64, FORMAT_VERSION, LIMITS, SOFTWARE_VERSION, WIRE_VERSIONS } from '@tributary/proto';
import type { AdminHandlers, ObjectMessage, VersionInfo } from '@tributary/proto/grpc';

import type { ObjectKind } from '../../domain/objects.js';

import { streamBackup } from './admin/backup.js';
import { createContext, revokeContext } from './admin/contexts.js';
import { describe } from './admin/describe.js';
import { apply, control, undoRollout } from './admin/jobs.js';
import { streamLogs } from './admin/logs.js';
import { fetchModelBlob } from './admin/models.js';
import { toObjectMessage, type ObjectViews } from './admin/object-views.js';
import { deleteObject, listObjects } from './admin/objects.js';
import type { AdminParts } from './admin/parts.js';
import { publishRoster } from './admin/roster.js';
import { approve, invite, revoke } from './admin/sites.js';
import { watch } from './admin/watch.js';
import { Concurrency } from './concurrency.js';
import { fromRef } from './wire/admin.js';

/** What operators call. Every method first asks the authorisation table whether the caller's role may call it. */
export function adminService(parts: AdminParts, views: ObjectViews): AdminHandlers {
  const { calls, callers } = parts;
  const streams = new Concurrency(
    'watch, log and download streams',
    LIMITS.watchers,
    LIMITS.watchersPerContext,
  );
  const shown = (kind: ObjectKind, name: string): ObjectMessage => toObjectMessage(views.require(kind, name));
  return {
    GetVersion: calls.unary('GetVersion', (_request, context) => {
      callers.operator(context);
      return Promise.resolve(version(parts));
    }),
    Apply: calls.unary('Apply', (request, context) =>
      apply(parts, views, request, callers.operator(context)),
    ),
    GetObject: calls.unary('GetObject', (request, context) => {
      callers.operator(context);
      const { kind, name } = fromRef(request);
      return Promise.resolve(shown(kind, name));
    }),
    ListObjects: calls.unary('ListObjects', (request, context) => {
      callers.operator(context);
      return Promise.resolve(listObjects(parts, views, request));
    }),
    DescribeObject: calls.unary('DescribeObject', (request, context) => {
      callers.operator(context);
      return describe(parts, views, request);
    }),
    DeleteObject: calls.unary('DeleteObject', (request, context) =>
      deleteObject(parts, views, request, callers.operator(context)),
    ),
    ControlJob: calls.unary('ControlJob', async (request, context) =>
      shown('FederatedJob', await control(parts, request, callers.operator(context))),
    ),
    UndoRollout: calls.unary('UndoRollout', async (request, context) =>
      shown('ModelRollout', await undoRollout(parts, request, callers.operator(context))),
    ),
    WatchObjects: calls.serverStream(
      'WatchObjects',
      (request, sink, context) => {
        callers.operator(context);
        return watch(parts, views, request, sink, context);
      },
      { places: streams },
    ),
    StreamLogs: calls.serverStream(
      'StreamLogs',
      (request, sink, context) => {
        callers.operator(context);
        return streamLogs(parts, request, sink, context);
      },
      { places: streams },
    ),
    CreateInvitation: calls.unary('CreateInvitation', (request, context) =>
      invite(parts, request, callers.operator(context)),
    ),
    ApproveSite: calls.unary('ApproveSite', async (request, context) =>
      shown('Site', await approve(parts, request.site, callers.operator(context))),
    ),
    RevokeSite: calls.unary('RevokeSite', async (request, context) =>
      shown('Site', await revoke(parts, request, callers.operator(context))),
    ),
    FetchModelBlob: calls.serverStream(
      'FetchModelBlob',
      (request, sink, context) => {
        callers.operator(context);
        return fetchModelBlob(parts, request, sink);
      },
      { places: streams, ahead: LIMITS.chunksAhead },
    ),
    CreateContext: calls.unary('CreateContext', (request, context) =>
      createContext(parts, request, callers.operator(context)),
    ),
    RevokeContext: calls.unary('RevokeContext', (request, context) =>
      revokeContext(parts, request, callers.operator(context)),
    ),
    PublishRoster: calls.unary('PublishRoster', (request, context) =>
      publishRoster(parts, request, callers.operator(context)),
    ),
    StreamBackup: calls.serverStream(
      'StreamBackup',
      (_request, sink, context) => {
        callers.operator(context);
        return streamBackup(parts, sink);
      },
      { places: streams, ahead: LIMITS.chunksAhead },
    ),
  };
}

function version({ federation }: AdminParts): VersionInfo {
  const info = federation.state.federation;
  return {
    software: SOFTWARE_VERSION,
    versions: [...WIRE_VERSIONS],
    federation: info?.name ?? '',
    logId: federation.logId,
    ledgerSize: String(federation.size()),
    formatVersion: FORMAT_VERSION,
    node: process.version,
    modelKey: decodeBase64(info?.modelKey ?? '', 'modelKey'),
    logKey: decodeBase64(info?.logKey ?? '', 'logKey'),
  };
}
