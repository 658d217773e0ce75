import type { SignedTreeHead } from '@tributary/proto';

export interface RawOrder {
  readonly orderId: string;
  readonly treeHead: SignedTreeHead;
  readonly entries: readonly RawEntry[];
  readonly remainingMs: number;
}

export interface RawEntry {
  readonly seq: number;
  readonly entry: Uint8Array;
  readonly path: readonly Uint8Array[];
}

export interface Welcome {
  readonly type: 'Welcome';
  readonly version: string;
  readonly treeHead: SignedTreeHead;
  readonly consistency: readonly Uint8Array[];
  readonly approved: boolean;
  readonly heartbeatIntervalMs: number;
}

export type CoordinatorMessage =
  | Welcome
  | { readonly type: 'Order'; readonly order: RawOrder }
  | {
      readonly type: 'Goodbye';
      readonly code: string;
      readonly detail: string;
      readonly retryAfterMs: number;
    }
  | HeartbeatAck;

/** With the newest head, where the log has grown since the stream said one, and the proof from that one. */
export interface HeartbeatAck {
  readonly type: 'HeartbeatAck';
  readonly treeHead?: SignedTreeHead;
  readonly consistency: readonly Uint8Array[];
}
