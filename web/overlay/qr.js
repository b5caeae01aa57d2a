/*!
 * Sallyport login overlay: QR codes, computed by qrcode-generator (its licence stands in its head), drawn by who asks.
 */
document.currentScript.sallyport({}, function () {
  // The library's ways of handing itself over that are not ours.
  var define, exports;

  /* vendor/qrcode-generator.js */

  // Gives the rows of a code of medium error correction, each an array that is true where it is dark.
  return function (text) {
    var code = qrcode(0, 'M'), rows = [], x, y;
    code.addData(text, 'Byte');
    code.make();
    for (y = 0; y < code.getModuleCount(); y++) {
      for (rows[y] = [], x = 0; x < code.getModuleCount(); x++) rows[y][x] = code.isDark(y, x);
    }
    return rows;
  };
});
