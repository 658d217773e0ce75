;; Kernels of the ring Z/2^32 of secure aggregation. All pointers are bytes, all counts elements. Memory: three pages of
;; 64 KiB, for words, terms and values; pieces pass through it that stay in the cache of one core.
(module
  (memory (export "memory") 3)

  ;; words[i] += terms[i], modulo 2^32. Counts are rounded up to whole lanes of 16: the pages are long enough.
  (func (export "add") (param $words i32) (param $terms i32) (param $count i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $words) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $sixteen
        (br_if $done (i32.ge_u (local.get $words) (local.get $end)))
        (v128.store offset=0 (local.get $words)
          (i32x4.add (v128.load offset=0 (local.get $words)) (v128.load offset=0 (local.get $terms))))
        (v128.store offset=16 (local.get $words)
          (i32x4.add (v128.load offset=16 (local.get $words)) (v128.load offset=16 (local.get $terms))))
        (v128.store offset=32 (local.get $words)
          (i32x4.add (v128.load offset=32 (local.get $words)) (v128.load offset=32 (local.get $terms))))
        (v128.store offset=48 (local.get $words)
          (i32x4.add (v128.load offset=48 (local.get $words)) (v128.load offset=48 (local.get $terms))))
        (local.set $words (i32.add (local.get $words) (i32.const 64)))
        (local.set $terms (i32.add (local.get $terms) (i32.const 64)))
        (br $sixteen))))

  ;; words[i] -= terms[i], likewise.
  (func (export "subtract") (param $words i32) (param $terms i32) (param $count i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $words) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $sixteen
        (br_if $done (i32.ge_u (local.get $words) (local.get $end)))
        (v128.store offset=0 (local.get $words)
          (i32x4.sub (v128.load offset=0 (local.get $words)) (v128.load offset=0 (local.get $terms))))
        (v128.store offset=16 (local.get $words)
          (i32x4.sub (v128.load offset=16 (local.get $words)) (v128.load offset=16 (local.get $terms))))
        (v128.store offset=32 (local.get $words)
          (i32x4.sub (v128.load offset=32 (local.get $words)) (v128.load offset=32 (local.get $terms))))
        (v128.store offset=48 (local.get $words)
          (i32x4.sub (v128.load offset=48 (local.get $words)) (v128.load offset=48 (local.get $terms))))
        (local.set $words (i32.add (local.get $words) (i32.const 64)))
        (local.set $terms (i32.add (local.get $terms) (i32.const 64)))
        (br $sixteen))))

  ;; words[i] = floor(clamp(values[i] * scale, -most, most) + random[i] * 2^-32), in float64 and then as int32. Each step
  ;; rounds once, in this order: the portable kernel does the same. Counts are rounded up to whole lanes of four.
  (func (export "quantise") (param $words i32) (param $values i32) (param $random i32) (param $count i32)
    (param $scale f64) (param $most f64)
    (local $end i32)
    (local $factor v128)
    (local $high v128)
    (local $low v128)
    (local $unit v128)
    (local.set $factor (f64x2.splat (local.get $scale)))
    (local.set $high (f64x2.splat (local.get $most)))
    (local.set $low (f64x2.neg (local.get $high)))
    (local.set $unit (f64x2.splat (f64.const 0x1p-32)))
    (local.set $end (i32.add (local.get $words) (i32.shl (local.get $count) (i32.const 2))))
    (block $done
      (loop $four
        (br_if $done (i32.ge_u (local.get $words) (local.get $end)))
        (v128.store (local.get $words)
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
            (i32x4.trunc_sat_f64x2_s_zero
              (f64x2.floor
                (f64x2.add
                  (f64x2.pmax
                    (f64x2.pmin
                      (f64x2.mul (f64x2.promote_low_f32x4 (v128.load64_zero offset=0 (local.get $values))) (local.get $factor))
                      (local.get $high))
                    (local.get $low))
                  (f64x2.mul (f64x2.convert_low_i32x4_u (v128.load64_zero offset=0 (local.get $random))) (local.get $unit)))))
            (i32x4.trunc_sat_f64x2_s_zero
              (f64x2.floor
                (f64x2.add
                  (f64x2.pmax
                    (f64x2.pmin
                      (f64x2.mul (f64x2.promote_low_f32x4 (v128.load64_zero offset=8 (local.get $values))) (local.get $factor))
                      (local.get $high))
                    (local.get $low))
                  (f64x2.mul (f64x2.convert_low_i32x4_u (v128.load64_zero offset=8 (local.get $random))) (local.get $unit)))))))
        (local.set $words (i32.add (local.get $words) (i32.const 16)))
        (local.set $values (i32.add (local.get $values) (i32.const 16)))
        (local.set $random (i32.add (local.get $random) (i32.const 16)))
        (br $four)))))
