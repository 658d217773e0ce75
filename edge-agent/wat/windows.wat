;; Layers that look at each channel through a window: depthwise convolution, and its gradients and those of pooling, in
;; two dimensions.
;; Images are batch x height x width x channels, results batch x outHeight x outWidth x (channels * multiplier), filters
;; kernelHeight x kernelWidth x channels x multiplier, float32. Taps that fall outside the image do not count. What is
;; written is added to, so it starts as zeros. Pointers are bytes, sizes elements.
(module
  (import "heap" "memory" (memory 1))

  ;; Geometry, set before each call.
  (global $inHeight (export "inHeight") (mut i32) (i32.const 1))
  (global $inWidth (export "inWidth") (mut i32) (i32.const 1))
  (global $channels (export "channels") (mut i32) (i32.const 1))
  (global $outHeight (export "outHeight") (mut i32) (i32.const 1))
  (global $outWidth (export "outWidth") (mut i32) (i32.const 1))
  (global $kernelHeight (export "kernelHeight") (mut i32) (i32.const 1))
  (global $kernelWidth (export "kernelWidth") (mut i32) (i32.const 1))
  (global $strideHeight (export "strideHeight") (mut i32) (i32.const 1))
  (global $strideWidth (export "strideWidth") (mut i32) (i32.const 1))
  (global $dilationHeight (export "dilationHeight") (mut i32) (i32.const 1))
  (global $dilationWidth (export "dilationWidth") (mut i32) (i32.const 1))
  (global $padTop (export "padTop") (mut i32) (i32.const 0))
  (global $padLeft (export "padLeft") (mut i32) (i32.const 0))

  ;; Offset of the pixel that a tap looks at from the start of its image, or -1 outside.
  (func $pixel (param $row i32) (param $column i32) (param $tapRow i32) (param $tapColumn i32) (result i32)
    (local.set $row (i32.add (local.get $row) (i32.mul (local.get $tapRow) (global.get $dilationHeight))))
    (local.set $column (i32.add (local.get $column) (i32.mul (local.get $tapColumn) (global.get $dilationWidth))))
    (if (i32.or
      (i32.ge_u (local.get $row) (global.get $inHeight))
      (i32.ge_u (local.get $column) (global.get $inWidth)))
      (then (return (i32.const -1))))
    (i32.shl
      (i32.mul
        (i32.add (i32.mul (local.get $row) (global.get $inWidth)) (local.get $column))
        (global.get $channels))
      (i32.const 2)))

  ;; Adds `dy`, four channels of one result, to the first tap in row order that holds the maximum `y`; `open`
  ;; masks the channels that look for it.
  (func $maxOfFour (param $image i32) (param $gradient i32) (param $row i32) (param $column i32) (param $channel i32)
    (param $y v128) (param $dy v128) (param $open v128)
    (local $tapRow i32)
    (local $tapColumn i32)
    (local $at i32)
    (local $hit v128)
    (loop $rows
      (local.set $tapColumn (i32.const 0))
      (loop $columns
        (local.set $at (call $pixel (local.get $row) (local.get $column) (local.get $tapRow) (local.get $tapColumn)))
        (if (i32.ne (local.get $at) (i32.const -1)) (then
          (local.set $at (i32.add (local.get $at) (local.get $channel)))
          (local.set $hit (v128.and (local.get $open)
            (f32x4.eq (local.get $y) (v128.load align=4 (i32.add (local.get $image) (local.get $at))))))
          (local.set $open (v128.andnot (local.get $open) (local.get $hit)))
          (local.set $at (i32.add (local.get $gradient) (local.get $at)))
          (v128.store align=4 (local.get $at) (f32x4.add
            (v128.load align=4 (local.get $at))
            (v128.and (local.get $dy) (local.get $hit))))))
        (local.set $tapColumn (i32.add (local.get $tapColumn) (i32.const 1)))
        (br_if $columns (i32.lt_u (local.get $tapColumn) (global.get $kernelWidth))))
      (local.set $tapRow (i32.add (local.get $tapRow) (i32.const 1)))
      (br_if $rows (i32.lt_u (local.get $tapRow) (global.get $kernelHeight)))))

  ;; The same for one channel.
  (func $maxOfOne (param $image i32) (param $gradient i32) (param $row i32) (param $column i32) (param $channel i32)
    (param $y f32) (param $dy f32)
    (local $tapRow i32)
    (local $tapColumn i32)
    (local $at i32)
    (loop $rows
      (local.set $tapColumn (i32.const 0))
      (loop $columns
        (local.set $at (call $pixel (local.get $row) (local.get $column) (local.get $tapRow) (local.get $tapColumn)))
        (if (i32.ne (local.get $at) (i32.const -1)) (then
          (local.set $at (i32.add (local.get $at) (local.get $channel)))
          (if (f32.eq (local.get $y) (f32.load (i32.add (local.get $image) (local.get $at)))) (then
            (local.set $at (i32.add (local.get $gradient) (local.get $at)))
            (f32.store (local.get $at) (f32.add (f32.load (local.get $at)) (local.get $dy)))
            (return)))))
        (local.set $tapColumn (i32.add (local.get $tapColumn) (i32.const 1)))
        (br_if $columns (i32.lt_u (local.get $tapColumn) (global.get $kernelWidth))))
      (local.set $tapRow (i32.add (local.get $tapRow) (i32.const 1)))
      (br_if $rows (i32.lt_u (local.get $tapRow) (global.get $kernelHeight)))))

  ;; All channels of one result of max pooling.
  (func $max (param $image i32) (param $gradient i32) (param $row i32) (param $column i32) (param $y i32) (param $dy i32)
    (local $channel i32)
    (local $end i32)
    (local.set $end (i32.shl (i32.and (global.get $channels) (i32.const -4)) (i32.const 2)))
    (block $rest (loop $four
      (br_if $rest (i32.ge_u (local.get $channel) (local.get $end)))
      (call $maxOfFour (local.get $image) (local.get $gradient) (local.get $row) (local.get $column) (local.get $channel)
        (v128.load align=4 (i32.add (local.get $y) (local.get $channel)))
        (v128.load align=4 (i32.add (local.get $dy) (local.get $channel)))
        (v128.const i32x4 -1 -1 -1 -1))
      (local.set $channel (i32.add (local.get $channel) (i32.const 16)))
      (br $four)))
    (local.set $end (i32.shl (global.get $channels) (i32.const 2)))
    (block $done (loop $one
      (br_if $done (i32.ge_u (local.get $channel) (local.get $end)))
      (call $maxOfOne (local.get $image) (local.get $gradient) (local.get $row) (local.get $column) (local.get $channel)
        (f32.load (i32.add (local.get $y) (local.get $channel)))
        (f32.load (i32.add (local.get $dy) (local.get $channel))))
      (local.set $channel (i32.add (local.get $channel) (i32.const 4)))
      (br $one))))

  ;; to[i] += from[i] * factor for all channels.
  (func $addScaled (param $from i32) (param $to i32) (param $factor f32)
    (local $end i32)
    (local.set $end (i32.add (local.get $to) (i32.shl (i32.and (global.get $channels) (i32.const -4)) (i32.const 2))))
    (block $rest (loop $four
      (br_if $rest (i32.ge_u (local.get $to) (local.get $end)))
      (v128.store align=4 (local.get $to) (f32x4.add (v128.load align=4 (local.get $to))
        (f32x4.mul (v128.load align=4 (local.get $from)) (f32x4.splat (local.get $factor)))))
      (local.set $from (i32.add (local.get $from) (i32.const 16)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (br $four)))
    (local.set $end (i32.add (local.get $to) (i32.shl (i32.and (global.get $channels) (i32.const 3)) (i32.const 2))))
    (block $done (loop $one
      (br_if $done (i32.ge_u (local.get $to) (local.get $end)))
      (f32.store (local.get $to) (f32.add (f32.load (local.get $to))
        (f32.mul (f32.load (local.get $from)) (local.get $factor))))
      (local.set $from (i32.add (local.get $from) (i32.const 4)))
      (local.set $to (i32.add (local.get $to) (i32.const 4)))
      (br $one))))

  ;; All channels of one result of average pooling: its gradient in equal parts to the taps inside the image.
  (func $average (param $gradient i32) (param $row i32) (param $column i32) (param $dy i32)
    (local $pass i32)
    (local $count i32)
    (local $tapRow i32)
    (local $tapColumn i32)
    (local $at i32)
    ;; The first pass counts, the second adds.
    (loop $passes
      (local.set $tapRow (i32.const 0))
      (loop $rows
        (local.set $tapColumn (i32.const 0))
        (loop $columns
          (local.set $at (call $pixel (local.get $row) (local.get $column) (local.get $tapRow) (local.get $tapColumn)))
          (if (i32.ne (local.get $at) (i32.const -1)) (then
            (if (local.get $pass)
              (then (call $addScaled (local.get $dy) (i32.add (local.get $gradient) (local.get $at))
                (f32.div (f32.const 1) (f32.convert_i32_u (local.get $count)))))
              (else (local.set $count (i32.add (local.get $count) (i32.const 1)))))))
          (local.set $tapColumn (i32.add (local.get $tapColumn) (i32.const 1)))
          (br_if $columns (i32.lt_u (local.get $tapColumn) (global.get $kernelWidth))))
        (local.set $tapRow (i32.add (local.get $tapRow) (i32.const 1)))
        (br_if $rows (i32.lt_u (local.get $tapRow) (global.get $kernelHeight))))
      (local.set $pass (i32.add (local.get $pass) (i32.const 1)))
      (br_if $passes (i32.eq (local.get $pass) (i32.const 1)))))

  ;; to[i] += a[i] * b[i] for all channels.
  (func $addProducts (param $a i32) (param $b i32) (param $to i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $to) (i32.shl (i32.and (global.get $channels) (i32.const -4)) (i32.const 2))))
    (block $rest (loop $four
      (br_if $rest (i32.ge_u (local.get $to) (local.get $end)))
      (v128.store align=4 (local.get $to) (f32x4.add (v128.load align=4 (local.get $to))
        (f32x4.mul (v128.load align=4 (local.get $a)) (v128.load align=4 (local.get $b)))))
      (local.set $a (i32.add (local.get $a) (i32.const 16)))
      (local.set $b (i32.add (local.get $b) (i32.const 16)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (br $four)))
    (local.set $end (i32.add (local.get $to) (i32.shl (i32.and (global.get $channels) (i32.const 3)) (i32.const 2))))
    (block $done (loop $one
      (br_if $done (i32.ge_u (local.get $to) (local.get $end)))
      (f32.store (local.get $to) (f32.add (f32.load (local.get $to))
        (f32.mul (f32.load (local.get $a)) (f32.load (local.get $b)))))
      (local.set $a (i32.add (local.get $a) (i32.const 4)))
      (local.set $b (i32.add (local.get $b) (i32.const 4)))
      (local.set $to (i32.add (local.get $to) (i32.const 4)))
      (br $one))))

  ;; One tap with `multiplier` results a channel: to the image's gradient dx[c] += dy[c, q] * filter[c, q], or with
  ;; `image` to the filter's gradient filter[c, q] += dy[c, q] * image[c]; exchanging filter and dy gives the result.
  (func $tap (param $image i32) (param $gradient i32) (param $filter i32) (param $dy i32) (param $multiplier i32)
    (local $channel i32)
    (local $index i32)
    (local $value f32)
    (loop $next
      (local.set $value (if (result f32) (local.get $image)
        (then (f32.load (local.get $image)))
        (else (f32.load (local.get $gradient)))))
      (local.set $index (local.get $multiplier))
      (loop $results
        (if (local.get $image)
          (then (f32.store (local.get $filter)
            (f32.add (f32.load (local.get $filter)) (f32.mul (local.get $value) (f32.load (local.get $dy))))))
          (else (local.set $value
            (f32.add (local.get $value) (f32.mul (f32.load (local.get $filter)) (f32.load (local.get $dy)))))))
        (local.set $filter (i32.add (local.get $filter) (i32.const 4)))
        (local.set $dy (i32.add (local.get $dy) (i32.const 4)))
        (local.set $index (i32.sub (local.get $index) (i32.const 1)))
        (br_if $results (local.get $index)))
      (if (local.get $image)
        (then (local.set $image (i32.add (local.get $image) (i32.const 4))))
        (else
          (f32.store (local.get $gradient) (local.get $value))
          (local.set $gradient (i32.add (local.get $gradient) (i32.const 4)))))
      (local.set $channel (i32.add (local.get $channel) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $channel) (global.get $channels)))))

  ;; All channels of one result of a depthwise convolution; one of `image` and `gradient` is 0. `forward`: dy is the
  ;; result, which the products are added to.
  (func $depthwise (param $image i32) (param $gradient i32) (param $row i32) (param $column i32)
    (param $filter i32) (param $dy i32) (param $multiplier i32) (param $forward i32)
    (local $from i32)
    (local $to i32)
    (local $tapRow i32)
    (local $tapColumn i32)
    (local $at i32)
    (loop $rows
      (local.set $tapColumn (i32.const 0))
      (loop $columns
        (local.set $at (call $pixel (local.get $row) (local.get $column) (local.get $tapRow) (local.get $tapColumn)))
        (if (i32.ne (local.get $at) (i32.const -1)) (then
          (local.set $from (select (local.get $filter) (local.get $dy) (local.get $forward)))
          (local.set $to (select (local.get $dy) (local.get $filter) (local.get $forward)))
          (if (i32.ne (local.get $multiplier) (i32.const 1))
            (then (call $tap
              (select (i32.add (local.get $image) (local.get $at)) (i32.const 0) (local.get $image))
              (i32.add (local.get $gradient) (local.get $at))
              (local.get $to) (local.get $from) (local.get $multiplier)))
            (else (if (local.get $image)
              (then (call $addProducts (i32.add (local.get $image) (local.get $at)) (local.get $from) (local.get $to)))
              (else (call $addProducts (local.get $to) (local.get $from) (i32.add (local.get $gradient) (local.get $at)))))))))
        (local.set $filter (i32.add (local.get $filter)
          (i32.shl (i32.mul (global.get $channels) (local.get $multiplier)) (i32.const 2))))
        (local.set $tapColumn (i32.add (local.get $tapColumn) (i32.const 1)))
        (br_if $columns (i32.lt_u (local.get $tapColumn) (global.get $kernelWidth))))
      (local.set $tapRow (i32.add (local.get $tapRow) (i32.const 1)))
      (br_if $rows (i32.lt_u (local.get $tapRow) (global.get $kernelHeight)))))

  ;; Calls for each result position of `batch` images what fits the pointers that are not 0: `y` max pooling, `filter`
  ;; depthwise convolution, else average pooling.
  (func $walk (param $batch i32) (param $image i32) (param $gradient i32) (param $y i32) (param $dy i32)
    (param $filter i32) (param $multiplier i32) (param $forward i32)
    (local $outRow i32)
    (local $outColumn i32)
    (local $row i32)
    (local $column i32)
    (local $imageBytes i32)
    (local $resultBytes i32)
    (local.set $imageBytes (i32.shl (i32.mul
      (i32.mul (global.get $inHeight) (global.get $inWidth)) (global.get $channels)) (i32.const 2)))
    (local.set $resultBytes (i32.shl (i32.mul (global.get $channels) (local.get $multiplier)) (i32.const 2)))
    (loop $images
      (local.set $outRow (i32.const 0))
      (loop $rows
        (local.set $row (i32.sub (i32.mul (local.get $outRow) (global.get $strideHeight)) (global.get $padTop)))
        (local.set $outColumn (i32.const 0))
        (loop $columns
          (local.set $column (i32.sub (i32.mul (local.get $outColumn) (global.get $strideWidth)) (global.get $padLeft)))
          (if (local.get $filter)
            (then (call $depthwise (local.get $image) (local.get $gradient) (local.get $row) (local.get $column)
              (local.get $filter) (local.get $dy) (local.get $multiplier) (local.get $forward)))
            (else (if (local.get $y)
              (then
                (call $max (local.get $image) (local.get $gradient) (local.get $row) (local.get $column)
                  (local.get $y) (local.get $dy))
                (local.set $y (i32.add (local.get $y) (local.get $resultBytes))))
              (else (call $average (local.get $gradient) (local.get $row) (local.get $column) (local.get $dy))))))
          (local.set $dy (i32.add (local.get $dy) (local.get $resultBytes)))
          (local.set $outColumn (i32.add (local.get $outColumn) (i32.const 1)))
          (br_if $columns (i32.lt_u (local.get $outColumn) (global.get $outWidth))))
        (local.set $outRow (i32.add (local.get $outRow) (i32.const 1)))
        (br_if $rows (i32.lt_u (local.get $outRow) (global.get $outHeight))))
      (if (local.get $image) (then (local.set $image (i32.add (local.get $image) (local.get $imageBytes)))))
      (if (local.get $gradient) (then (local.set $gradient (i32.add (local.get $gradient) (local.get $imageBytes)))))
      (local.set $batch (i32.sub (local.get $batch) (i32.const 1)))
      (br_if $images (local.get $batch))))

  (func (export "maxPoolGradient") (param $batch i32) (param $x i32) (param $dx i32) (param $y i32) (param $dy i32)
    (call $walk (local.get $batch) (local.get $x) (local.get $dx) (local.get $y) (local.get $dy)
      (i32.const 0) (i32.const 1) (i32.const 0)))

  (func (export "averagePoolGradient") (param $batch i32) (param $dx i32) (param $dy i32)
    (call $walk (local.get $batch) (i32.const 0) (local.get $dx) (i32.const 0) (local.get $dy)
      (i32.const 0) (i32.const 1) (i32.const 0)))

  (func (export "depthwise") (param $batch i32) (param $x i32) (param $y i32) (param $filter i32) (param $multiplier i32)
    (call $walk (local.get $batch) (local.get $x) (i32.const 0) (i32.const 0) (local.get $y)
      (local.get $filter) (local.get $multiplier) (i32.const 1)))

  (func (export "depthwiseInputGradient") (param $batch i32) (param $dx i32) (param $dy i32) (param $filter i32) (param $multiplier i32)
    (call $walk (local.get $batch) (i32.const 0) (local.get $dx) (i32.const 0) (local.get $dy)
      (local.get $filter) (local.get $multiplier) (i32.const 0)))

  (func (export "depthwiseFilterGradient") (param $batch i32) (param $x i32) (param $dy i32) (param $dFilter i32) (param $multiplier i32)
    (call $walk (local.get $batch) (local.get $x) (i32.const 0) (i32.const 0) (local.get $dy)
      (local.get $dFilter) (local.get $multiplier) (i32.const 0)))
)
