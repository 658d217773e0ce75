import type { ReceivingUpload, UploadOffer, UploadStatus } from './upload.js';

/** Receives updates: verified chunk by chunk into a spool, accepted durably, then handed to the aggregation. */
export interface UploadReception {
  /** How far the agent's upload has come. Other agents' uploads are Unknown. */
  status(agentId: string, uploadId: string): Promise<UploadStatus>;
  /** Checks the header and opens, resumes or re-answers the upload. Rejects with a typed error of the table. */
  begin(agentId: string, offer: UploadOffer): Promise<ReceivingUpload>;
}
