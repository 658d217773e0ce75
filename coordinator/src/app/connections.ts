import { TributaryError } from '@tributary/proto';

import type { AgentConnection, AgentHello, AgentLink, ConnectedAgent } from './agent-connection.js';

/** The agents whose streams are open. */
export interface ConnectedAgents {
  /**
   * Registers a stream. Rejects with AGENT_FENCED where a newer process of the agent is connected; an older one, or an
   * older stream of the same process, is told goodbye. Orders of open rounds follow over `link` by themselves.
   */
  attach(agentId: string, hello: AgentHello, link: AgentLink): AgentConnection;
  get(agentId: string): ConnectedAgent | undefined;
  list(): readonly ConnectedAgent[];
}
export const fenced = (): TributaryError =>
  new TributaryError('AGENT_FENCED', 'a newer process of this agent is connected');
