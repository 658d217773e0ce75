;; Kernels of one segment of the accumulator. Memory: one page of scratch at 0, then int64 accumulators.
;; All pointers are bytes, all counts elements. Both loops take eight elements at a time, two per 128-bit lane pair, so
;; that memory is what they wait for; the rest goes one by one.
(module
  (memory (export "memory") 1)
  ;; Sum of squares of the last `check`, float64: not finite where a value is not finite.
  (global $squares (export "squares") (mut f64) (f64.const 0))

  ;; Largest |x| of `count` float32 at `values`, NaN ignored: `pmax` is one instruction, a maximum that keeps NaN is six.
  (func (export "check") (param $values i32) (param $count i32) (result f32)
    (local $end i32)
    (local $wide v128)
    (local $max0 v128)
    (local $max1 v128)
    (local $low0 v128)
    (local $low1 v128)
    (local $high0 v128)
    (local $high1 v128)
    (local $most f32)
    (local $sum f64)
    (local $last f32)
    (local.set $end (i32.add (local.get $values) (i32.shl (i32.and (local.get $count) (i32.const -8)) (i32.const 2))))
    (block $done
      (loop $eight
        (br_if $done (i32.ge_u (local.get $values) (local.get $end)))
        (local.set $max0 (f32x4.pmax (local.get $max0) (f32x4.abs (v128.load offset=0 (local.get $values)))))
        (local.set $wide (f64x2.promote_low_f32x4 (v128.load64_zero offset=0 (local.get $values))))
        (local.set $low0 (f64x2.add (local.get $low0) (f64x2.mul (local.get $wide) (local.get $wide))))
        (local.set $wide (f64x2.promote_low_f32x4 (v128.load64_zero offset=8 (local.get $values))))
        (local.set $high0 (f64x2.add (local.get $high0) (f64x2.mul (local.get $wide) (local.get $wide))))
        (local.set $max1 (f32x4.pmax (local.get $max1) (f32x4.abs (v128.load offset=16 (local.get $values)))))
        (local.set $wide (f64x2.promote_low_f32x4 (v128.load64_zero offset=16 (local.get $values))))
        (local.set $low1 (f64x2.add (local.get $low1) (f64x2.mul (local.get $wide) (local.get $wide))))
        (local.set $wide (f64x2.promote_low_f32x4 (v128.load64_zero offset=24 (local.get $values))))
        (local.set $high1 (f64x2.add (local.get $high1) (f64x2.mul (local.get $wide) (local.get $wide))))
        (local.set $values (i32.add (local.get $values) (i32.const 32)))
        (br $eight)))
    (local.set $max0 (f32x4.pmax (local.get $max0) (local.get $max1)))
    (local.set $most (f32.max
      (f32.max (f32x4.extract_lane 0 (local.get $max0)) (f32x4.extract_lane 1 (local.get $max0)))
      (f32.max (f32x4.extract_lane 2 (local.get $max0)) (f32x4.extract_lane 3 (local.get $max0)))))
    (local.set $low0 (f64x2.add
      (f64x2.add (local.get $low0) (local.get $low1))
      (f64x2.add (local.get $high0) (local.get $high1))))
    (local.set $sum (f64.add (f64x2.extract_lane 0 (local.get $low0)) (f64x2.extract_lane 1 (local.get $low0))))
    (local.set $end (i32.add (local.get $end) (i32.shl (i32.and (local.get $count) (i32.const 7)) (i32.const 2))))
    (block $done
      (loop $one
        (br_if $done (i32.ge_u (local.get $values) (local.get $end)))
        (local.set $last (f32.abs (f32.load (local.get $values))))
        (if (f32.gt (local.get $last) (local.get $most)) (then (local.set $most (local.get $last))))
        (local.set $sum (f64.add (local.get $sum)
          (f64.mul (f64.promote_f32 (local.get $last)) (f64.promote_f32 (local.get $last)))))
        (local.set $values (i32.add (local.get $values) (i32.const 4)))
        (br $one)))
    (global.set $squares (local.get $sum))
    (local.get $most))

  ;; sums[i] += rint(values[i] * scale). `scale` is a power of two (negative to take back), |values[i] * scale| < 2^51:
  ;; the product is exact, adding 1.5 * 2^52 rounds it to nearest even and leaves the integer in the low bits of the
  ;; float64; the bits of 1.5 * 2^52 itself are subtracted again. No lane or order can change a bit of a sum.
  (func (export "fold") (param $sums i32) (param $values i32) (param $count i32) (param $scale f64)
    (local $end i32)
    (local $factor v128)
    (local $magic v128)
    (local.set $factor (f64x2.splat (local.get $scale)))
    (local.set $magic (f64x2.splat (f64.const 6755399441055744)))
    (local.set $end (i32.add (local.get $values) (i32.shl (i32.and (local.get $count) (i32.const -8)) (i32.const 2))))
    (block $done
      (loop $eight
        (br_if $done (i32.ge_u (local.get $values) (local.get $end)))
        (v128.store offset=0 (local.get $sums)
          (i64x2.add
            (i64x2.sub (v128.load offset=0 (local.get $sums)) (local.get $magic))
            (f64x2.add
              (f64x2.mul (f64x2.promote_low_f32x4 (v128.load64_zero offset=0 (local.get $values))) (local.get $factor))
              (local.get $magic))))
        (v128.store offset=16 (local.get $sums)
          (i64x2.add
            (i64x2.sub (v128.load offset=16 (local.get $sums)) (local.get $magic))
            (f64x2.add
              (f64x2.mul (f64x2.promote_low_f32x4 (v128.load64_zero offset=8 (local.get $values))) (local.get $factor))
              (local.get $magic))))
        (v128.store offset=32 (local.get $sums)
          (i64x2.add
            (i64x2.sub (v128.load offset=32 (local.get $sums)) (local.get $magic))
            (f64x2.add
              (f64x2.mul (f64x2.promote_low_f32x4 (v128.load64_zero offset=16 (local.get $values))) (local.get $factor))
              (local.get $magic))))
        (v128.store offset=48 (local.get $sums)
          (i64x2.add
            (i64x2.sub (v128.load offset=48 (local.get $sums)) (local.get $magic))
            (f64x2.add
              (f64x2.mul (f64x2.promote_low_f32x4 (v128.load64_zero offset=24 (local.get $values))) (local.get $factor))
              (local.get $magic))))
        (local.set $values (i32.add (local.get $values) (i32.const 32)))
        (local.set $sums (i32.add (local.get $sums) (i32.const 64)))
        (br $eight)))
    (local.set $end (i32.add (local.get $end) (i32.shl (i32.and (local.get $count) (i32.const 7)) (i32.const 2))))
    (block $done
      (loop $one
        (br_if $done (i32.ge_u (local.get $values) (local.get $end)))
        (i64.store (local.get $sums)
          (i64.add
            (i64.sub (i64.load (local.get $sums)) (i64.reinterpret_f64 (f64.const 6755399441055744)))
            (i64.reinterpret_f64
              (f64.add
                (f64.mul (f64.promote_f32 (f32.load (local.get $values))) (local.get $scale))
                (f64.const 6755399441055744)))))
        (local.set $values (i32.add (local.get $values) (i32.const 4)))
        (local.set $sums (i32.add (local.get $sums) (i32.const 8)))
        (br $one))))

  ;; out[i] = sums[i] * unit as float64: the integer rounded to nearest even, the product with a power of two exact.
  (func (export "read") (param $out i32) (param $sums i32) (param $count i32) (param $unit f64)
    (local $end i32)
    (local.set $end (i32.add (local.get $sums) (i32.shl (local.get $count) (i32.const 3))))
    (block $done
      (loop $one
        (br_if $done (i32.ge_u (local.get $sums) (local.get $end)))
        (f64.store (local.get $out) (f64.mul (f64.convert_i64_s (i64.load (local.get $sums))) (local.get $unit)))
        (local.set $out (i32.add (local.get $out) (i32.const 8)))
        (local.set $sums (i32.add (local.get $sums) (i32.const 8)))
        (br $one)))))
