"""Which elements does a core-loss EELS spectrum contain?

>>> import coreloss
>>> spectrum = coreloss.read_spectrum("spectrum.dm3")  # doctest: +SKIP
>>> coreloss.identify(spectrum).present  # doctest: +SKIP
('Ti', 'O')

The public names are those of `coreloss.__all__`; each is imported when it is first used. Everything
else lies in one of the rooms, in this order; a room imports from those before it:

runtime -> materials -> physics -> atoms -> spectra -> simulation -> networks -> scoring ->
training -> identification -> quantification -> mapping -> datasets -> figures -> reports -> cli ->
study
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
