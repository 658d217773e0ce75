;; Patches of a batch of images as rows of a matrix, and back. Images are batch x depth x height x width x channels,
;; float32; row p of the matrix belongs to output position p (batch, depth, height, width in this order) and holds the
;; patch that it looks at, kernel depth x height x width x channels, zero where the patch leaves the image. Two
;; dimensions have depth 1. Pointers are bytes, sizes elements.
(module
  (import "heap" "memory" (memory 1))

  ;; Geometry, set before each call.
  (global $inDepth (export "inDepth") (mut i32) (i32.const 1))
  (global $inHeight (export "inHeight") (mut i32) (i32.const 1))
  (global $inWidth (export "inWidth") (mut i32) (i32.const 1))
  (global $channels (export "channels") (mut i32) (i32.const 1))
  (global $outDepth (export "outDepth") (mut i32) (i32.const 1))
  (global $outHeight (export "outHeight") (mut i32) (i32.const 1))
  (global $outWidth (export "outWidth") (mut i32) (i32.const 1))
  (global $kernelDepth (export "kernelDepth") (mut i32) (i32.const 1))
  (global $kernelHeight (export "kernelHeight") (mut i32) (i32.const 1))
  (global $kernelWidth (export "kernelWidth") (mut i32) (i32.const 1))
  (global $strideDepth (export "strideDepth") (mut i32) (i32.const 1))
  (global $strideHeight (export "strideHeight") (mut i32) (i32.const 1))
  (global $strideWidth (export "strideWidth") (mut i32) (i32.const 1))
  (global $dilationDepth (export "dilationDepth") (mut i32) (i32.const 1))
  (global $dilationHeight (export "dilationHeight") (mut i32) (i32.const 1))
  (global $dilationWidth (export "dilationWidth") (mut i32) (i32.const 1))
  (global $padFront (export "padFront") (mut i32) (i32.const 0))
  (global $padTop (export "padTop") (mut i32) (i32.const 0))
  (global $padLeft (export "padLeft") (mut i32) (i32.const 0))

  (func $zero (param $to i32) (param $bytes i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $to) (i32.and (local.get $bytes) (i32.const -16))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $to) (local.get $end)))
      (v128.store align=4 (local.get $to) (v128.const i32x4 0 0 0 0))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (br $next)))
    (local.set $end (i32.add (local.get $to) (i32.and (local.get $bytes) (i32.const 15))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $to) (local.get $end)))
      (i32.store (local.get $to) (i32.const 0))
      (local.set $to (i32.add (local.get $to) (i32.const 4)))
      (br $next))))

  (func $copy (param $from i32) (param $to i32) (param $bytes i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $to) (i32.and (local.get $bytes) (i32.const -16))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $to) (local.get $end)))
      (v128.store align=4 (local.get $to) (v128.load align=4 (local.get $from)))
      (local.set $from (i32.add (local.get $from) (i32.const 16)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (br $next)))
    (local.set $end (i32.add (local.get $to) (i32.and (local.get $bytes) (i32.const 15))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $to) (local.get $end)))
      (i32.store (local.get $to) (i32.load (local.get $from)))
      (local.set $from (i32.add (local.get $from) (i32.const 4)))
      (local.set $to (i32.add (local.get $to) (i32.const 4)))
      (br $next))))

  (func $add (param $from i32) (param $to i32) (param $bytes i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $to) (i32.and (local.get $bytes) (i32.const -16))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $to) (local.get $end)))
      (v128.store align=4 (local.get $to)
        (f32x4.add (v128.load align=4 (local.get $to)) (v128.load align=4 (local.get $from))))
      (local.set $from (i32.add (local.get $from) (i32.const 16)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (br $next)))
    (local.set $end (i32.add (local.get $to) (i32.and (local.get $bytes) (i32.const 15))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $to) (local.get $end)))
      (f32.store (local.get $to) (f32.add (f32.load (local.get $to)) (f32.load (local.get $from))))
      (local.set $from (i32.add (local.get $from) (i32.const 4)))
      (local.set $to (i32.add (local.get $to) (i32.const 4)))
      (br $next))))

  ;; `count` taps side by side, the first at column `column` of the image row that starts at `image`.
  (func $taps (param $back i32) (param $image i32) (param $column i32) (param $patch i32) (param $count i32)
    (local $pixel i32)
    (local $first i32)
    (local $last i32)
    (local $bytes i32)
    (local.set $pixel (i32.shl (global.get $channels) (i32.const 2)))
    (local.set $first (select
      (i32.sub (i32.const 0) (local.get $column)) (i32.const 0) (i32.lt_s (local.get $column) (i32.const 0))))
    (local.set $last (i32.sub (global.get $inWidth) (local.get $column)))
    (local.set $last (select (local.get $count) (local.get $last) (i32.gt_s (local.get $last) (local.get $count))))
    (if (i32.ge_s (local.get $first) (local.get $last)) (then
      (if (i32.eqz (local.get $back))
        (then (call $zero (local.get $patch) (i32.mul (local.get $count) (local.get $pixel)))))
      (return)))
    (local.set $image (i32.add (local.get $image)
      (i32.mul (i32.add (local.get $column) (local.get $first)) (local.get $pixel))))
    (local.set $bytes (i32.mul (i32.sub (local.get $last) (local.get $first)) (local.get $pixel)))
    (if (local.get $back)
      (then (call $add
        (i32.add (local.get $patch) (i32.mul (local.get $first) (local.get $pixel)))
        (local.get $image) (local.get $bytes)))
      (else
        (call $zero (local.get $patch) (i32.mul (local.get $first) (local.get $pixel)))
        (local.set $patch (i32.add (local.get $patch) (i32.mul (local.get $first) (local.get $pixel))))
        (call $copy (local.get $image) (local.get $patch) (local.get $bytes))
        (call $zero (i32.add (local.get $patch) (local.get $bytes))
          (i32.mul (i32.sub (local.get $count) (local.get $last)) (local.get $pixel))))))

  ;; One patch; `depth`, `row` and `column` of its first tap may lie outside the image that starts at `image`.
  (func $patch (param $back i32) (param $image i32) (param $depth i32) (param $row i32) (param $column i32) (param $patch i32)
    (local $slice i32)
    (local $line i32)
    (local $tap i32)
    (local $run i32)
    (local $atDepth i32)
    (local $atRow i32)
    (local $from i32)
    ;; Without dilation the taps of one row lie side by side.
    (local.set $run (select (global.get $kernelWidth) (i32.const 1) (i32.eq (global.get $dilationWidth) (i32.const 1))))
    (local.set $atDepth (local.get $depth))
    (loop $slices
      (local.set $atRow (local.get $row))
      (local.set $line (i32.const 0))
      (loop $lines
        (if (i32.and
          (i32.lt_u (local.get $atDepth) (global.get $inDepth))
          (i32.lt_u (local.get $atRow) (global.get $inHeight)))
          (then
            (local.set $from (i32.add (local.get $image) (i32.mul
              (i32.mul
                (i32.add (i32.mul (local.get $atDepth) (global.get $inHeight)) (local.get $atRow))
                (global.get $inWidth))
              (i32.shl (global.get $channels) (i32.const 2)))))
            (local.set $tap (i32.const 0))
            (loop $tapsOfLine
              (call $taps (local.get $back) (local.get $from)
                (i32.add (local.get $column) (i32.mul (local.get $tap) (global.get $dilationWidth)))
                (i32.add (local.get $patch) (i32.shl (i32.mul (local.get $tap) (global.get $channels)) (i32.const 2)))
                (local.get $run))
              (local.set $tap (i32.add (local.get $tap) (local.get $run)))
              (br_if $tapsOfLine (i32.lt_u (local.get $tap) (global.get $kernelWidth)))))
          (else (if (i32.eqz (local.get $back)) (then
            (call $zero (local.get $patch)
              (i32.shl (i32.mul (global.get $kernelWidth) (global.get $channels)) (i32.const 2)))))))
        (local.set $patch (i32.add (local.get $patch)
          (i32.shl (i32.mul (global.get $kernelWidth) (global.get $channels)) (i32.const 2))))
        (local.set $atRow (i32.add (local.get $atRow) (global.get $dilationHeight)))
        (local.set $line (i32.add (local.get $line) (i32.const 1)))
        (br_if $lines (i32.lt_u (local.get $line) (global.get $kernelHeight))))
      (local.set $atDepth (i32.add (local.get $atDepth) (global.get $dilationDepth)))
      (local.set $slice (i32.add (local.get $slice) (i32.const 1)))
      (br_if $slices (i32.lt_u (local.get $slice) (global.get $kernelDepth)))))

  ;; Rows `first` up to `first` + `count` (at least 1) of the matrix at `patches`, which holds these rows only.
  (func $walk (param $back i32) (param $images i32) (param $patches i32) (param $first i32) (param $count i32)
    (local $rest i32)
    (local $column i32)
    (local $row i32)
    (local $depth i32)
    (local $image i32)
    (local $imageBytes i32)
    (local $patchBytes i32)
    (local.set $imageBytes (i32.shl (i32.mul
      (i32.mul (global.get $inDepth) (global.get $inHeight))
      (i32.mul (global.get $inWidth) (global.get $channels))) (i32.const 2)))
    (local.set $patchBytes (i32.shl (i32.mul
      (i32.mul (global.get $kernelDepth) (global.get $kernelHeight))
      (i32.mul (global.get $kernelWidth) (global.get $channels))) (i32.const 2)))
    (local.set $column (i32.rem_u (local.get $first) (global.get $outWidth)))
    (local.set $rest (i32.div_u (local.get $first) (global.get $outWidth)))
    (local.set $row (i32.rem_u (local.get $rest) (global.get $outHeight)))
    (local.set $rest (i32.div_u (local.get $rest) (global.get $outHeight)))
    (local.set $depth (i32.rem_u (local.get $rest) (global.get $outDepth)))
    (local.set $image (i32.add (local.get $images)
      (i32.mul (i32.div_u (local.get $rest) (global.get $outDepth)) (local.get $imageBytes))))
    (loop $positions
      (call $patch (local.get $back) (local.get $image)
        (i32.sub (i32.mul (local.get $depth) (global.get $strideDepth)) (global.get $padFront))
        (i32.sub (i32.mul (local.get $row) (global.get $strideHeight)) (global.get $padTop))
        (i32.sub (i32.mul (local.get $column) (global.get $strideWidth)) (global.get $padLeft))
        (local.get $patches))
      (local.set $patches (i32.add (local.get $patches) (local.get $patchBytes)))
      (local.set $column (i32.add (local.get $column) (i32.const 1)))
      (if (i32.eq (local.get $column) (global.get $outWidth)) (then
        (local.set $column (i32.const 0))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (if (i32.eq (local.get $row) (global.get $outHeight)) (then
          (local.set $row (i32.const 0))
          (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
          (if (i32.eq (local.get $depth) (global.get $outDepth)) (then
            (local.set $depth (i32.const 0))
            (local.set $image (i32.add (local.get $image) (local.get $imageBytes)))))))))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br_if $positions (local.get $count))))

  ;; Copies patches of `images` into rows.
  (func (export "gatherPatches") (param $images i32) (param $patches i32) (param $first i32) (param $count i32)
    (call $walk (i32.const 0) (local.get $images) (local.get $patches) (local.get $first) (local.get $count)))

  ;; Adds rows to the pixels of `images` that they came from: the transpose of gatherPatches.
  (func (export "scatterPatches") (param $images i32) (param $patches i32) (param $first i32) (param $count i32)
    (call $walk (i32.const 1) (local.get $images) (local.get $patches) (local.get $first) (local.get $count)))
)
