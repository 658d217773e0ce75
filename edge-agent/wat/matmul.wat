;; C (rows x columns) = A (rows x depth) * B (depth x columns), or C += A * B, float32.
;; A and B come with any strides, so that a transposed operand costs no more than one that is not; rows of C are
;; contiguous. Both operands are packed block by block into panels of four (depth x 4, the rest of the last panel zero),
;; from which a tile of 4 x 8 sums in registers reads without gaps (Goto and van de Geijn, Anatomy of High-Performance
;; Matrix Multiplication, 2008). Sums run over the depth in order: the result does not depend on the blocks of rows and
;; columns. Pointers and strides are bytes, sizes elements; comparisons are unsigned, as the heap ends at 4 GiB.
(module
  (import "heap" "memory" (memory 1))

  ;; Rows of A, columns of B and depth of one block: 64 and 512 KiB packed, a panel pair of B 8 KiB.
  (global $rowsPerBlock i32 (i32.const 64))
  (global $columnsPerBlock i32 (i32.const 512))
  (global $depthPerBlock i32 (i32.const 256))

  ;; Where the packed blocks lie, from the start of the scratch memory: one tile, then A, then B.
  (global $packedA i32 (i32.const 128))
  (global $packedB i32 (i32.const 65664))
  (global (export "scratchBytes") i32 (i32.const 589952))

  ;; One panel of up to four lines, any strides.
  (func $packAny (param $from i32) (param $to i32) (param $depth i32) (param $lines i32) (param $depthStride i32) (param $lineStride i32)
    (local $line i32)
    (local $at i32)
    (loop $next
      (v128.store (local.get $to) (v128.const i32x4 0 0 0 0))
      (local.set $line (i32.const 0))
      (local.set $at (local.get $from))
      (loop $lane
        (f32.store (i32.add (local.get $to) (i32.shl (local.get $line) (i32.const 2))) (f32.load (local.get $at)))
        (local.set $at (i32.add (local.get $at) (local.get $lineStride)))
        (local.set $line (i32.add (local.get $line) (i32.const 1)))
        (br_if $lane (i32.lt_u (local.get $line) (local.get $lines))))
      (local.set $from (i32.add (local.get $from) (local.get $depthStride)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
      (br_if $next (local.get $depth))))

  ;; One panel of four lines that lie side by side.
  (func $packAdjacent (param $from i32) (param $to i32) (param $depth i32) (param $depthStride i32)
    (loop $next
      (v128.store (local.get $to) (v128.load align=4 (local.get $from)))
      (local.set $from (i32.add (local.get $from) (local.get $depthStride)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
      (br_if $next (local.get $depth))))

  ;; One panel of four lines, each contiguous: blocks of 4 x 4 are transposed in registers.
  (func $packContiguous (param $from i32) (param $to i32) (param $depth i32) (param $lineStride i32)
    (local $from1 i32)
    (local $from2 i32)
    (local $from3 i32)
    (local $r0 v128)
    (local $r1 v128)
    (local $r2 v128)
    (local $r3 v128)
    (local $low01 v128)
    (local $high01 v128)
    (local $low23 v128)
    (local $high23 v128)
    (local.set $from1 (i32.add (local.get $from) (local.get $lineStride)))
    (local.set $from2 (i32.add (local.get $from1) (local.get $lineStride)))
    (local.set $from3 (i32.add (local.get $from2) (local.get $lineStride)))
    (block $rest
      (loop $four
        (br_if $rest (i32.lt_u (local.get $depth) (i32.const 4)))
        (local.set $r0 (v128.load align=4 (local.get $from)))
        (local.set $r1 (v128.load align=4 (local.get $from1)))
        (local.set $r2 (v128.load align=4 (local.get $from2)))
        (local.set $r3 (v128.load align=4 (local.get $from3)))
        (local.set $low01 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $r0) (local.get $r1)))
        (local.set $high01 (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $r0) (local.get $r1)))
        (local.set $low23 (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $r2) (local.get $r3)))
        (local.set $high23 (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $r2) (local.get $r3)))
        (v128.store (local.get $to)
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $low01) (local.get $low23)))
        (v128.store offset=16 (local.get $to)
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $low01) (local.get $low23)))
        (v128.store offset=32 (local.get $to)
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $high01) (local.get $high23)))
        (v128.store offset=48 (local.get $to)
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $high01) (local.get $high23)))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (local.set $from1 (i32.add (local.get $from1) (i32.const 16)))
        (local.set $from2 (i32.add (local.get $from2) (i32.const 16)))
        (local.set $from3 (i32.add (local.get $from3) (i32.const 16)))
        (local.set $to (i32.add (local.get $to) (i32.const 64)))
        (local.set $depth (i32.sub (local.get $depth) (i32.const 4)))
        (br $four)))
    (if (local.get $depth)
      (then (call $packAny (local.get $from) (local.get $to) (local.get $depth) (i32.const 4) (i32.const 4) (local.get $lineStride)))))

  ;; All panels of `lines` lines of `depth` elements.
  (func $pack (param $from i32) (param $to i32) (param $depth i32) (param $lines i32) (param $depthStride i32) (param $lineStride i32)
    (block $rest
      (loop $panel
        (br_if $rest (i32.lt_u (local.get $lines) (i32.const 4)))
        (if (i32.eq (local.get $lineStride) (i32.const 4))
          (then (call $packAdjacent (local.get $from) (local.get $to) (local.get $depth) (local.get $depthStride)))
          (else (if (i32.eq (local.get $depthStride) (i32.const 4))
            (then (call $packContiguous (local.get $from) (local.get $to) (local.get $depth) (local.get $lineStride)))
            (else (call $packAny (local.get $from) (local.get $to) (local.get $depth) (i32.const 4)
              (local.get $depthStride) (local.get $lineStride))))))
        (local.set $from (i32.add (local.get $from) (i32.shl (local.get $lineStride) (i32.const 2))))
        (local.set $to (i32.add (local.get $to) (i32.shl (local.get $depth) (i32.const 4))))
        (local.set $lines (i32.sub (local.get $lines) (i32.const 4)))
        (br $panel)))
    (if (local.get $lines)
      (then (call $packAny (local.get $from) (local.get $to) (local.get $depth) (local.get $lines)
        (local.get $depthStride) (local.get $lineStride)))))

  ;; A tile of 4 x 8 of C from a panel of A and two panels of B.
  (func $tile (param $left i32) (param $right0 i32) (param $right1 i32) (param $depth i32) (param $c i32) (param $rowStride i32) (param $add i32)
    (local $a v128)
    (local $b0 v128)
    (local $b1 v128)
    (local $c00 v128)
    (local $c01 v128)
    (local $c10 v128)
    (local $c11 v128)
    (local $c20 v128)
    (local $c21 v128)
    (local $c30 v128)
    (local $c31 v128)
    (block $rest
      (loop $four
        (br_if $rest (i32.lt_u (local.get $depth) (i32.const 4)))
        (local.set $b0 (v128.load offset=0 (local.get $right0)))
        (local.set $b1 (v128.load offset=0 (local.get $right1)))
        (local.set $a (v128.load32_splat offset=0 (local.get $left)))
        (local.set $c00 (f32x4.add (local.get $c00) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c01 (f32x4.add (local.get $c01) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=4 (local.get $left)))
        (local.set $c10 (f32x4.add (local.get $c10) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c11 (f32x4.add (local.get $c11) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=8 (local.get $left)))
        (local.set $c20 (f32x4.add (local.get $c20) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c21 (f32x4.add (local.get $c21) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=12 (local.get $left)))
        (local.set $c30 (f32x4.add (local.get $c30) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c31 (f32x4.add (local.get $c31) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $b0 (v128.load offset=16 (local.get $right0)))
        (local.set $b1 (v128.load offset=16 (local.get $right1)))
        (local.set $a (v128.load32_splat offset=16 (local.get $left)))
        (local.set $c00 (f32x4.add (local.get $c00) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c01 (f32x4.add (local.get $c01) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=20 (local.get $left)))
        (local.set $c10 (f32x4.add (local.get $c10) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c11 (f32x4.add (local.get $c11) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=24 (local.get $left)))
        (local.set $c20 (f32x4.add (local.get $c20) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c21 (f32x4.add (local.get $c21) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=28 (local.get $left)))
        (local.set $c30 (f32x4.add (local.get $c30) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c31 (f32x4.add (local.get $c31) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $b0 (v128.load offset=32 (local.get $right0)))
        (local.set $b1 (v128.load offset=32 (local.get $right1)))
        (local.set $a (v128.load32_splat offset=32 (local.get $left)))
        (local.set $c00 (f32x4.add (local.get $c00) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c01 (f32x4.add (local.get $c01) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=36 (local.get $left)))
        (local.set $c10 (f32x4.add (local.get $c10) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c11 (f32x4.add (local.get $c11) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=40 (local.get $left)))
        (local.set $c20 (f32x4.add (local.get $c20) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c21 (f32x4.add (local.get $c21) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=44 (local.get $left)))
        (local.set $c30 (f32x4.add (local.get $c30) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c31 (f32x4.add (local.get $c31) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $b0 (v128.load offset=48 (local.get $right0)))
        (local.set $b1 (v128.load offset=48 (local.get $right1)))
        (local.set $a (v128.load32_splat offset=48 (local.get $left)))
        (local.set $c00 (f32x4.add (local.get $c00) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c01 (f32x4.add (local.get $c01) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=52 (local.get $left)))
        (local.set $c10 (f32x4.add (local.get $c10) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c11 (f32x4.add (local.get $c11) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=56 (local.get $left)))
        (local.set $c20 (f32x4.add (local.get $c20) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c21 (f32x4.add (local.get $c21) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=60 (local.get $left)))
        (local.set $c30 (f32x4.add (local.get $c30) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c31 (f32x4.add (local.get $c31) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $left (i32.add (local.get $left) (i32.const 64)))
        (local.set $right0 (i32.add (local.get $right0) (i32.const 64)))
        (local.set $right1 (i32.add (local.get $right1) (i32.const 64)))
        (local.set $depth (i32.sub (local.get $depth) (i32.const 4)))
        (br $four)))
    (block $done
      (loop $one
        (br_if $done (i32.eqz (local.get $depth)))
        (local.set $b0 (v128.load offset=0 (local.get $right0)))
        (local.set $b1 (v128.load offset=0 (local.get $right1)))
        (local.set $a (v128.load32_splat offset=0 (local.get $left)))
        (local.set $c00 (f32x4.add (local.get $c00) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c01 (f32x4.add (local.get $c01) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=4 (local.get $left)))
        (local.set $c10 (f32x4.add (local.get $c10) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c11 (f32x4.add (local.get $c11) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=8 (local.get $left)))
        (local.set $c20 (f32x4.add (local.get $c20) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c21 (f32x4.add (local.get $c21) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $a (v128.load32_splat offset=12 (local.get $left)))
        (local.set $c30 (f32x4.add (local.get $c30) (f32x4.mul (local.get $a) (local.get $b0))))
        (local.set $c31 (f32x4.add (local.get $c31) (f32x4.mul (local.get $a) (local.get $b1))))
        (local.set $left (i32.add (local.get $left) (i32.const 16)))
        (local.set $right0 (i32.add (local.get $right0) (i32.const 16)))
        (local.set $right1 (i32.add (local.get $right1) (i32.const 16)))
        (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
        (br $one)))
    (if (local.get $add) (then
      (local.set $c00 (f32x4.add (local.get $c00) (v128.load offset=0 align=4 (local.get $c))))
      (local.set $c01 (f32x4.add (local.get $c01) (v128.load offset=16 align=4 (local.get $c))))))
    (v128.store offset=0 align=4 (local.get $c) (local.get $c00))
    (v128.store offset=16 align=4 (local.get $c) (local.get $c01))
    (local.set $c (i32.add (local.get $c) (local.get $rowStride)))
    (if (local.get $add) (then
      (local.set $c10 (f32x4.add (local.get $c10) (v128.load offset=0 align=4 (local.get $c))))
      (local.set $c11 (f32x4.add (local.get $c11) (v128.load offset=16 align=4 (local.get $c))))))
    (v128.store offset=0 align=4 (local.get $c) (local.get $c10))
    (v128.store offset=16 align=4 (local.get $c) (local.get $c11))
    (local.set $c (i32.add (local.get $c) (local.get $rowStride)))
    (if (local.get $add) (then
      (local.set $c20 (f32x4.add (local.get $c20) (v128.load offset=0 align=4 (local.get $c))))
      (local.set $c21 (f32x4.add (local.get $c21) (v128.load offset=16 align=4 (local.get $c))))))
    (v128.store offset=0 align=4 (local.get $c) (local.get $c20))
    (v128.store offset=16 align=4 (local.get $c) (local.get $c21))
    (local.set $c (i32.add (local.get $c) (local.get $rowStride)))
    (if (local.get $add) (then
      (local.set $c30 (f32x4.add (local.get $c30) (v128.load offset=0 align=4 (local.get $c))))
      (local.set $c31 (f32x4.add (local.get $c31) (v128.load offset=16 align=4 (local.get $c))))))
    (v128.store offset=0 align=4 (local.get $c) (local.get $c30))
    (v128.store offset=16 align=4 (local.get $c) (local.get $c31)))

  ;; The part of a tile that lies inside C, from the tile in scratch memory (rows of 32 bytes).
  (func $placeTile (param $from i32) (param $rows i32) (param $columns i32) (param $c i32) (param $rowStride i32) (param $add i32)
    (local $column i32)
    (local $to i32)
    (local $value f32)
    (loop $row
      (local.set $column (i32.const 0))
      (loop $next
        (local.set $to (i32.add (local.get $c) (local.get $column)))
        (local.set $value (f32.load (i32.add (local.get $from) (local.get $column))))
        (if (local.get $add) (then (local.set $value (f32.add (local.get $value) (f32.load (local.get $to))))))
        (f32.store (local.get $to) (local.get $value))
        (local.set $column (i32.add (local.get $column) (i32.const 4)))
        (br_if $next (i32.lt_u (local.get $column) (i32.shl (local.get $columns) (i32.const 2)))))
      (local.set $from (i32.add (local.get $from) (i32.const 32)))
      (local.set $c (i32.add (local.get $c) (local.get $rowStride)))
      (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
      (br_if $row (local.get $rows))))

  (func $min (param $x i32) (param $y i32) (result i32)
    (select (local.get $x) (local.get $y) (i32.lt_u (local.get $x) (local.get $y))))

  ;; All tiles of one block of C, from the packed blocks.
  (func $block (param $scratch i32) (param $c i32) (param $rowStride i32) (param $rows i32) (param $columns i32) (param $depth i32) (param $add i32)
    (local $row i32)
    (local $column i32)
    (local $panel i32)
    (local $left i32)
    (local $right0 i32)
    (local $right1 i32)
    (local $at i32)
    (local.set $panel (i32.shl (local.get $depth) (i32.const 4)))
    (local.set $right0 (i32.add (local.get $scratch) (global.get $packedB)))
    (loop $columns
      ;; The last panel of an odd number stands in for the one that is missing; its second half falls outside C.
      (local.set $right1 (select
        (i32.add (local.get $right0) (local.get $panel))
        (local.get $right0)
        (i32.gt_u (i32.sub (local.get $columns) (local.get $column)) (i32.const 4))))
      (local.set $left (i32.add (local.get $scratch) (global.get $packedA)))
      (local.set $row (i32.const 0))
      (loop $rows
        (local.set $at (i32.add (local.get $c)
          (i32.add (i32.mul (local.get $row) (local.get $rowStride)) (i32.shl (local.get $column) (i32.const 2)))))
        (if (i32.and
          (i32.le_u (i32.add (local.get $row) (i32.const 4)) (local.get $rows))
          (i32.le_u (i32.add (local.get $column) (i32.const 8)) (local.get $columns)))
          (then (call $tile (local.get $left) (local.get $right0) (local.get $right1) (local.get $depth)
            (local.get $at) (local.get $rowStride) (local.get $add)))
          (else
            (call $tile (local.get $left) (local.get $right0) (local.get $right1) (local.get $depth)
              (local.get $scratch) (i32.const 32) (i32.const 0))
            (call $placeTile (local.get $scratch)
              (call $min (i32.const 4) (i32.sub (local.get $rows) (local.get $row)))
              (call $min (i32.const 8) (i32.sub (local.get $columns) (local.get $column)))
              (local.get $at) (local.get $rowStride) (local.get $add))))
        (local.set $left (i32.add (local.get $left) (local.get $panel)))
        (local.set $row (i32.add (local.get $row) (i32.const 4)))
        (br_if $rows (i32.lt_u (local.get $row) (local.get $rows))))
      (local.set $right0 (i32.add (local.get $right1) (local.get $panel)))
      (local.set $column (i32.add (local.get $column) (i32.const 8)))
      (br_if $columns (i32.lt_u (local.get $column) (local.get $columns)))))

  ;; rows, columns and depth are at least 1; `add`: 1 for C += A * B. `scratch`: scratchBytes, aligned to 16.
  (func (export "multiply")
    (param $a i32) (param $aRow i32) (param $aColumn i32)
    (param $b i32) (param $bRow i32) (param $bColumn i32)
    (param $c i32) (param $cRow i32)
    (param $rows i32) (param $columns i32) (param $depth i32)
    (param $add i32) (param $scratch i32)
    (local $row i32)
    (local $column i32)
    (local $level i32)
    (local $blockRows i32)
    (local $blockColumns i32)
    (local $blockDepth i32)
    (loop $levels
      (local.set $blockDepth (call $min (global.get $depthPerBlock) (i32.sub (local.get $depth) (local.get $level))))
      (local.set $column (i32.const 0))
      (loop $columns
        (local.set $blockColumns (call $min (global.get $columnsPerBlock) (i32.sub (local.get $columns) (local.get $column))))
        (call $pack
          (i32.add (local.get $b) (i32.add
            (i32.mul (local.get $level) (local.get $bRow))
            (i32.mul (local.get $column) (local.get $bColumn))))
          (i32.add (local.get $scratch) (global.get $packedB))
          (local.get $blockDepth) (local.get $blockColumns) (local.get $bRow) (local.get $bColumn))
        (local.set $row (i32.const 0))
        (loop $rows
          (local.set $blockRows (call $min (global.get $rowsPerBlock) (i32.sub (local.get $rows) (local.get $row))))
          (call $pack
            (i32.add (local.get $a) (i32.add
              (i32.mul (local.get $row) (local.get $aRow))
              (i32.mul (local.get $level) (local.get $aColumn))))
            (i32.add (local.get $scratch) (global.get $packedA))
            (local.get $blockDepth) (local.get $blockRows) (local.get $aColumn) (local.get $aRow))
          (call $block (local.get $scratch)
            (i32.add (local.get $c) (i32.add
              (i32.mul (local.get $row) (local.get $cRow))
              (i32.shl (local.get $column) (i32.const 2))))
            (local.get $cRow) (local.get $blockRows) (local.get $blockColumns) (local.get $blockDepth)
            (i32.or (local.get $add) (i32.ne (local.get $level) (i32.const 0))))
          (local.set $row (i32.add (local.get $row) (local.get $blockRows)))
          (br_if $rows (i32.lt_u (local.get $row) (local.get $rows))))
        (local.set $column (i32.add (local.get $column) (local.get $blockColumns)))
        (br_if $columns (i32.lt_u (local.get $column) (local.get $columns))))
      (local.set $level (i32.add (local.get $level) (local.get $blockDepth)))
      (br_if $levels (i32.lt_u (local.get $level) (local.get $depth)))))

  ;; Elements of `count` that are not zero, in memory aligned to 4.
  (func (export "countNonZero") (param $at i32) (param $count i32) (result i32)
    (local $found i32)
    (local $sums v128)
    (block $rest
      (loop $four
        (br_if $rest (i32.lt_u (local.get $count) (i32.const 4)))
        ;; A lane that is not zero compares as -1.
        (local.set $sums (i32x4.sub (local.get $sums)
          (f32x4.ne (v128.load align=4 (local.get $at)) (v128.const f32x4 0 0 0 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (local.set $count (i32.sub (local.get $count) (i32.const 4)))
        (br $four)))
    (local.set $found (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $sums)) (i32x4.extract_lane 1 (local.get $sums)))
      (i32.add (i32x4.extract_lane 2 (local.get $sums)) (i32x4.extract_lane 3 (local.get $sums)))))
    (block $done
      (loop $one
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $found (i32.add (local.get $found) (f32.ne (f32.load (local.get $at)) (f32.const 0))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $one)))
    (local.get $found))

  ;; to += factor * from, `columns` elements.
  (func $addScaled (param $to i32) (param $from i32) (param $columns i32) (param $factor f32)
    (local $factors v128)
    (local.set $factors (f32x4.splat (local.get $factor)))
    (block $rest
      (loop $four
        (br_if $rest (i32.lt_u (local.get $columns) (i32.const 4)))
        (v128.store align=4 (local.get $to) (f32x4.add
          (v128.load align=4 (local.get $to))
          (f32x4.mul (local.get $factors) (v128.load align=4 (local.get $from)))))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (local.set $columns (i32.sub (local.get $columns) (i32.const 4)))
        (br $four)))
    (block $done
      (loop $one
        (br_if $done (i32.eqz (local.get $columns)))
        (f32.store (local.get $to) (f32.add
          (f32.load (local.get $to))
          (f32.mul (local.get $factor) (f32.load (local.get $from)))))
        (local.set $to (i32.add (local.get $to) (i32.const 4)))
        (local.set $from (i32.add (local.get $from) (i32.const 4)))
        (local.set $columns (i32.sub (local.get $columns) (i32.const 1)))
        (br $one))))

  ;; As `multiply`, for an A of which most is zero and rows of B without gaps: what is zero is not multiplied. Sums run
  ;; over the same blocks of depth, so that the bits are the same where B is finite. `sums`: 4 * columns bytes.
  (func (export "multiplySparse")
    (param $a i32) (param $aRow i32)
    (param $b i32) (param $bRow i32)
    (param $c i32) (param $cRow i32)
    (param $rows i32) (param $columns i32) (param $depth i32)
    (param $add i32) (param $sums i32)
    (local $level i32)
    (local $end i32)
    (local $to i32)
    (local $value f32)
    (loop $row
      (if (i32.eqz (local.get $add)) (then
        (memory.fill (local.get $c) (i32.const 0) (i32.shl (local.get $columns) (i32.const 2)))))
      (local.set $level (i32.const 0))
      (loop $levels
        (local.set $end (call $min (local.get $depth) (i32.add (local.get $level) (global.get $depthPerBlock))))
        ;; The first block of a C that begins at zero is summed where it belongs.
        (local.set $to (select (local.get $sums) (local.get $c) (i32.or (local.get $add) (local.get $level))))
        (if (i32.eq (local.get $to) (local.get $sums)) (then
          (memory.fill (local.get $sums) (i32.const 0) (i32.shl (local.get $columns) (i32.const 2)))))
        (loop $one
          (local.set $value (f32.load (i32.add (local.get $a) (i32.shl (local.get $level) (i32.const 2)))))
          (if (f32.ne (local.get $value) (f32.const 0)) (then
            (call $addScaled (local.get $to)
              (i32.add (local.get $b) (i32.mul (local.get $level) (local.get $bRow)))
              (local.get $columns) (local.get $value))))
          (local.set $level (i32.add (local.get $level) (i32.const 1)))
          (br_if $one (i32.lt_u (local.get $level) (local.get $end))))
        (if (i32.eq (local.get $to) (local.get $sums)) (then
          (call $addScaled (local.get $c) (local.get $sums) (local.get $columns) (f32.const 1))))
        (br_if $levels (i32.lt_u (local.get $level) (local.get $depth))))
      (local.set $a (i32.add (local.get $a) (local.get $aRow)))
      (local.set $c (i32.add (local.get $c) (local.get $cRow)))
      (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
      (br_if $row (local.get $rows))))
)
