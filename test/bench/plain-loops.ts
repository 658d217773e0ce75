import type { Product } from './train-models.js';

/**
 * The products of one training step in plain loops over Float32Array, forward and both gradients, and nothing else: what
 * anyone can have without a library. Returns a function that does one step.
 */
export function plainStep(products: readonly Product[]): () => void {
  const works = products.map((product) => {
    const { rows, inputs, outputs } = product;
    const x = new Float32Array(rows * inputs).fill(0.5);
    const kernel = new Float32Array(inputs * outputs).fill(0.25);
    const y = new Float32Array(rows * outputs);
    const dKernel = new Float32Array(kernel.length);
    const dx = new Float32Array(x.length);
    return () => {
      for (let time = 0; time < product.times; time += 1) {
        forward(x, kernel, y, product);
        kernelGradient(x, y, dKernel, product);
        if (product.back) inputGradient(y, kernel, dx, product);
      }
    };
  });
  return () => {
    for (const work of works) work();
  };
}

function forward(x: Float32Array, kernel: Float32Array, y: Float32Array, size: Product): void {
  const { rows, inputs, outputs } = size;
  y.fill(0);
  for (let row = 0; row < rows; row += 1) {
    const to = row * outputs;
    for (let input = 0; input < inputs; input += 1) {
      const value = x[row * inputs + input] ?? 0;
      const from = input * outputs;
      for (let output = 0; output < outputs; output += 1)
        y[to + output] = (y[to + output] ?? 0) + value * (kernel[from + output] ?? 0);
    }
  }
}

function kernelGradient(x: Float32Array, dy: Float32Array, dKernel: Float32Array, size: Product): void {
  const { rows, inputs, outputs } = size;
  dKernel.fill(0);
  for (let row = 0; row < rows; row += 1) {
    const from = row * outputs;
    for (let input = 0; input < inputs; input += 1) {
      const value = x[row * inputs + input] ?? 0;
      const to = input * outputs;
      for (let output = 0; output < outputs; output += 1)
        dKernel[to + output] = (dKernel[to + output] ?? 0) + value * (dy[from + output] ?? 0);
    }
  }
}

function inputGradient(dy: Float32Array, kernel: Float32Array, dx: Float32Array, size: Product): void {
  const { rows, inputs, outputs } = size;
  for (let row = 0; row < rows; row += 1) {
    const from = row * outputs;
    for (let input = 0; input < inputs; input += 1) {
      const at = input * outputs;
      let sum = 0;
      for (let output = 0; output < outputs; output += 1)
        sum += (dy[from + output] ?? 0) * (kernel[at + output] ?? 0);
      dx[row * inputs + input] = sum;
    }
  }
}
