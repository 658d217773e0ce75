;; Kernels of one segment of the accumulator. Memory: one page of scratch at 0, then int64 accumulators.
;; All pointers are bytes, all counts elements. Every product below is exact or rounded once, so lanes and order
;; cannot change a bit of a sum.
(module
  (memory (export "memory") 1)
  ;; Sum of squares of the last `check`, float64.
  (global $squares (export "squares") (mut f64) (f64.const 0))

  ;; Largest |x| of `count` float32 at `values`; NaN where one is NaN. Leaves the sum of squares in $squares.
  (func (export "check") (param $values i32) (param $count i32) (result f32)
    (local $end i32)
    (local $x v128)
    (local $max v128)
    (local $low v128)
    (local $high v128)
    (local $wide v128)
    (local $most f32)
    (local $sum f64)
    (local $last f32)
    (local.set $end (i32.add (local.get $values) (i32.shl (i32.and (local.get $count) (i32.const -4)) (i32.const 2))))
    (block $done
      (loop $four
        (br_if $done (i32.ge_u (local.get $values) (local.get $end)))
        (local.set $x (v128.load (local.get $values)))
        (local.set $max (f32x4.max (local.get $max) (f32x4.abs (local.get $x))))
        (local.set $wide (f64x2.promote_low_f32x4 (local.get $x)))
        (local.set $low (f64x2.add (local.get $low) (f64x2.mul (local.get $wide) (local.get $wide))))
        (local.set $wide (f64x2.promote_low_f32x4
          (i8x16.shuffle 8 9 10 11 12 13 14 15 8 9 10 11 12 13 14 15 (local.get $x) (local.get $x))))
        (local.set $high (f64x2.add (local.get $high) (f64x2.mul (local.get $wide) (local.get $wide))))
        (local.set $values (i32.add (local.get $values) (i32.const 16)))
        (br $four)))
    (local.set $most (f32.max
      (f32.max (f32x4.extract_lane 0 (local.get $max)) (f32x4.extract_lane 1 (local.get $max)))
      (f32.max (f32x4.extract_lane 2 (local.get $max)) (f32x4.extract_lane 3 (local.get $max)))))
    (local.set $low (f64x2.add (local.get $low) (local.get $high)))
    (local.set $sum (f64.add (f64x2.extract_lane 0 (local.get $low)) (f64x2.extract_lane 1 (local.get $low))))
    (local.set $end (i32.add (local.get $end) (i32.shl (i32.and (local.get $count) (i32.const 3)) (i32.const 2))))
    (block $done
      (loop $one
        (br_if $done (i32.ge_u (local.get $values) (local.get $end)))
        (local.set $last (f32.load (local.get $values)))
        (local.set $most (f32.max (local.get $most) (f32.abs (local.get $last))))
        (local.set $sum (f64.add (local.get $sum)
          (f64.mul (f64.promote_f32 (local.get $last)) (f64.promote_f32 (local.get $last)))))
        (local.set $values (i32.add (local.get $values) (i32.const 4)))
        (br $one)))
    (global.set $squares (local.get $sum))
    (local.get $most))

  ;; sums[i] += rint(values[i] * scale). `scale` is a power of two (negative to take back), |values[i] * scale| < 2^51:
  ;; adding 1.5 * 2^52 then rounds to nearest even and leaves the integer in the low bits of the float64, and the bits of
  ;; 1.5 * 2^52 itself are subtracted again.
  (func (export "fold") (param $sums i32) (param $values i32) (param $count i32) (param $scale f64)
    (local $end i32)
    (local $factor v128)
    (local $magic v128)
    (local $x v128)
    (local.set $factor (f64x2.splat (local.get $scale)))
    (local.set $magic (f64x2.splat (f64.const 6755399441055744)))
    (local.set $end (i32.add (local.get $values) (i32.shl (i32.and (local.get $count) (i32.const -4)) (i32.const 2))))
    (block $done
      (loop $four
        (br_if $done (i32.ge_u (local.get $values) (local.get $end)))
        (local.set $x (v128.load (local.get $values)))
        (v128.store (local.get $sums)
          (i64x2.add (v128.load (local.get $sums))
            (i64x2.sub
              (f64x2.add (f64x2.mul (f64x2.promote_low_f32x4 (local.get $x)) (local.get $factor)) (local.get $magic))
              (local.get $magic))))
        (v128.store offset=16 (local.get $sums)
          (i64x2.add (v128.load offset=16 (local.get $sums))
            (i64x2.sub
              (f64x2.add
                (f64x2.mul
                  (f64x2.promote_low_f32x4
                    (i8x16.shuffle 8 9 10 11 12 13 14 15 8 9 10 11 12 13 14 15 (local.get $x) (local.get $x)))
                  (local.get $factor))
                (local.get $magic))
              (local.get $magic))))
        (local.set $values (i32.add (local.get $values) (i32.const 16)))
        (local.set $sums (i32.add (local.get $sums) (i32.const 32)))
        (br $four)))
    (local.set $end (i32.add (local.get $end) (i32.shl (i32.and (local.get $count) (i32.const 3)) (i32.const 2))))
    (block $done
      (loop $one
        (br_if $done (i32.ge_u (local.get $values) (local.get $end)))
        (i64.store (local.get $sums)
          (i64.add (i64.load (local.get $sums))
            (i64.sub
              (i64.reinterpret_f64
                (f64.add
                  (f64.mul (f64.promote_f32 (f32.load (local.get $values))) (local.get $scale))
                  (f64.const 6755399441055744)))
              (i64.reinterpret_f64 (f64.const 6755399441055744)))))
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
