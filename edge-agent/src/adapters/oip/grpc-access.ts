import { ServerInterceptingCall, ServerListenerBuilder, type ServerInterceptor } from '@grpc/grpc-js';
import { LIMITS, TributaryError } from '@tributary/proto';
import { toServiceError } from '@tributary/proto/grpc';

import { requireToken } from './access.js';

/**
 * Refuses whoever lacks the token before anything of the message is read: what a stranger sends takes no memory. Calls of
 * the paths `open` need none, and LIMITS.predictionProbes of them go on at the same time.
 */
export function tokenGuard(token: string | undefined, open: ReadonlySet<string>): ServerInterceptor {
  let probes = 0;
  return ({ path }, call) => {
    let leave = (): void => undefined;
    const enter = (): void => {
      if (probes >= LIMITS.predictionProbes)
        throw new TributaryError('OVERLOADED', 'too many probes at the same time', {
          fields: { retryAfterMs: LIMITS.retryAfterMs },
        });
      probes += 1;
      leave = () => {
        leave = () => undefined;
        probes -= 1;
      };
    };
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, pass) => {
        try {
          if (open.has(path)) enter();
          else requireToken(metadata.get('authorization')[0]?.toString(), token);
        } catch (error) {
          call.sendStatus(toServiceError(error));
          return;
        }
        pass(metadata);
      })
      .withOnCancel(() => leave())
      .build();
    return new ServerInterceptingCall(call, {
      start: (next) => next(listener),
      sendStatus: (status, next) => {
        leave();
        next(status);
      },
    });
  };
}
