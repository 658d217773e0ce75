import { predictedClass } from './predictions.js';
import { meanMetric } from './variance.js';

/** Share of rows whose predicted class is the true one, in [0, 1]; NaN without rows. */
export const accuracy = meanMetric((predictions, row) =>
  Number(predictedClass(predictions, row) === predictions.labels[row]),
);
