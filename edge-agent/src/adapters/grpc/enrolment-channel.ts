import { callUnary, Enrolment, type EnrolmentClient as EnrolmentStub } from '@tributary/proto/grpc';

import type { EgressMeter } from '../../egress-ports.js';
import type { EnrolAnswer, EnrolmentClient, EnrolRequest, RenewalRequest } from '../../ports.js';
import { copy } from './messages.js';

/** The enrolment service over one channel. */
export class EnrolmentChannel implements EnrolmentClient {
  readonly #stub: EnrolmentStub;
  readonly #egress: EgressMeter;

  constructor(stub: EnrolmentStub, egress: EgressMeter) {
    this.#stub = stub;
    this.#egress = egress;
  }

  async enroll(request: EnrolRequest): Promise<EnrolAnswer> {
    const wire = { ...request, versions: [...request.versions] };
    this.#egress.count('control', Enrolment.service.Enroll.requestSerialize(wire).length);
    const { certificate, caCertificate, logKey, modelKey, ...rest } = await callUnary(
      this.#stub,
      Enrolment.service.Enroll,
      wire,
    );
    return {
      version: rest.version,
      agentId: rest.agentId,
      site: rest.site,
      kind: rest.kind,
      logId: rest.logId,
      fleetAddress: rest.fleetAddress,
      certificate: copy(certificate),
      authority: copy(caCertificate),
      logKey: copy(logKey),
      modelKey: copy(modelKey),
    };
  }

  async challenge(agentId: string): Promise<Uint8Array> {
    this.#egress.count('control', Enrolment.service.GetChallenge.requestSerialize({ agentId }).length);
    const { nonce } = await callUnary(this.#stub, Enrolment.service.GetChallenge, { agentId });
    return copy(nonce);
  }

  async renew(
    request: RenewalRequest,
  ): Promise<{ readonly certificate: Uint8Array; readonly authority: Uint8Array }> {
    this.#egress.count('control', Enrolment.service.Renew.requestSerialize(request).length);
    const { certificate, caCertificate } = await callUnary(this.#stub, Enrolment.service.Renew, request);
    return { certificate: copy(certificate), authority: copy(caCertificate) };
  }

  close(): void {
    this.#stub.close();
  }
}
