"""The bundled library of sounds, built from named packages."""
