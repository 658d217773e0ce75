/**
 * A tunnel carries the bytes of one TCP connection to a listener of the coordinator in binary WebSocket messages (RFC 6455),
 * which proxies that open TLS let through. What is inside is the same mutual TLS as without it.
 */
export const TUNNEL_PROTOCOL = 'tributary-tunnel.v1';

/** Listeners that a tunnel may lead to. */
export const TUNNEL_ENDS = ['fleet', 'enrol'] as const;
export type TunnelEnd = (typeof TUNNEL_ENDS)[number];

/** Path of the request that opens a tunnel. */
export const tunnelPath = (end: TunnelEnd): string => `/tunnel/${end}`;
